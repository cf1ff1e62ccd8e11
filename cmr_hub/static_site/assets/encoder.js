// A worker that encodes texts and pictures as unit vectors. A worker named `gpu` uses WebGPU.
import { bitmapOf, prepared, thumbnail } from "./pixels.js";
import { tokeniser } from "./tokens.js";

const here = (path) => new URL(path, import.meta.url).href;
const THUMBNAIL = 480;
const fetched = async (path) => {
  const reply = await fetch(here(path));
  if (!reply.ok) throw new Error(`${path} could not be loaded (${reply.status})`);
  return reply;
};
const json = async (path) => (await fetched(path)).json();

// Download a file and report the progress.
const bytes = async (path) => {
  const reader = (await fetched(path)).body.getReader();
  const parts = [];
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    self.postMessage({ path, loaded });
  }
  const content = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    content.set(part, at);
    at += part.length;
  }
  return content;
};

const once = (make) => {
  let made;
  return () => (made ??= make());
};
const started = async (kind, name) => {
  const [ort, binary] = await Promise.all([
    import(`./runtime/ort.${kind}.min.mjs`),
    bytes(`runtime/ort-wasm-simd-threaded${name}.wasm`),
  ]);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = here("runtime/");
  ort.env.wasm.wasmBinary = binary.buffer;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1;
  return ort;
};
const onCpu = once(() => started("wasm", ""));
const onGpu = once(() => started("jspi", ".jspi"));
const session = (path) => {
  const network = bytes(path);
  const create = async (runtime, provider) => {
    const [ort, content] = await Promise.all([runtime(), network]);
    const made = await ort.InferenceSession.create(content, { executionProviders: [provider] });
    return { Tensor: ort.Tensor, run: (feeds) => made.run(feeds), provider };
  };
  const onlyCpu = () => create(onCpu, "wasm");
  return self.name === "gpu" ? create(onGpu, "webgpu").catch(onlyCpu) : onlyCpu();
};
const texts = once(async () => {
  const [network, definition] = await Promise.all([
    session("model/text.onnx"),
    json("model/tokens.json"),
  ]);
  return { network, tokens: tokeniser(definition) };
});
const images = once(async () => {
  const [network, how] = await Promise.all([
    session("model/image.onnx"),
    json("model/preprocessing.json"),
  ]);
  return { network, how };
});

const integers = ({ Tensor }, values) =>
  new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);

const tasks = {
  load: async ({ part }) => {
    await (part === "text" ? texts() : images());
  },
  // For each text, return its vector, or null if no word is known, and its unknown words.
  texts: async ({ given }) => {
    const { network, tokens } = await texts();
    const found = [];
    for (const text of given) {
      const all = tokens.units(text);
      const unknown = [...new Set(all.filter((word) => !tokens.knows(word)))];
      let vector = null;
      if (all.some((word) => tokens.knows(word))) {
        const inputs = Object.entries(tokens.feed(text));
        const feeds = Object.fromEntries(inputs.map(([name, ids]) => [name, integers(network, ids)]));
        vector = (await network.run(feeds)).rows.data;
      }
      found.push({ vector, unknown });
    }
    return found;
  },
  picture: async ({ blob, small }) => {
    const { network, how } = await images();
    const bitmap = await bitmapOf(blob);
    const pixels = await prepared(blob, bitmap, how);
    const shape = [1, 3, how.side, how.side];
    const { rows } = await network.run({ pixels: new network.Tensor("float32", pixels, shape) });
    const copy = small ? await thumbnail(bitmap, THUMBNAIL) : null;
    bitmap.close();
    return { vector: rows.data, thumbnail: copy, provider: network.provider };
  },
  // For tests: return the token ids and the input of the image network.
  tokens: async ({ text }) => tokeniser(await json("model/tokens.json")).feed(text),
  pixels: async ({ blob }) =>
    prepared(blob, await bitmapOf(blob), await json("model/preprocessing.json")),
};

// Run tasks one after another, because a session of ONNX Runtime cannot run concurrently.
let last = Promise.resolve();
self.addEventListener("message", ({ data: { id, task, ...given } }) => {
  const work = async () => {
    try {
      self.postMessage({ id, result: await tasks[task](given) });
    } catch (error) {
      self.postMessage({ id, error: String(error?.message ?? error) });
    }
  };
  last = task === "load" ? work() : last.then(work);
});
