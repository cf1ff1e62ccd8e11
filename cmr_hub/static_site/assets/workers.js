// Communicate with the workers that run the model.
export const hasGpu = async () =>
  "Suspending" in WebAssembly && Boolean(await navigator.gpu?.requestAdapter().catch(() => null));

export class Encoder {
  // report(path, loaded) receives the progress of downloads. `gpu` selects WebGPU.
  constructor(report = () => {}, gpu = false) {
    this.waiting = new Map();
    this.number = 0;
    this.worker = new Worker(new URL("encoder.js", import.meta.url), {
      type: "module",
      name: gpu ? "gpu" : "",
    });
    this.worker.addEventListener("message", ({ data }) => {
      if (data.path) {
        report(data.path, data.loaded);
        return;
      }
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) resolve(data.result);
      else reject(new Error(data.error));
    });
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      const error = new Error(`The model cannot run: ${event.message ?? "its script failed"}`);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    });
  }

  ask(task, given = {}) {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.number, { resolve, reject });
      this.worker.postMessage({ id: this.number, task, ...given });
    });
  }

  end() {
    this.worker.terminate();
  }
}
