// The visitor's pictures, which are indexed here and stored in IndexedDB on request.
import { OwnVectors } from "./vectors.js";
import { Encoder, hasGpu } from "./workers.js";

const NAME = `cmr ${new URL(".", location.href).pathname}`;
const STORE = "pictures";
const MOST_WORKERS = 3;
const SHOWN_PROBLEMS = 5;
const PICTURE = /\.(jpe?g|png|webp|gif|bmp|avif|tiff?|hei[cf])$/i;

const opened = () =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
// Run `act` in one transaction, and return the result of the request that it returns.
const store = async (mode, act) => {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
};

export class OwnPictures {
  // model: identifier of the model; stored vectors of other models are ignored.
  constructor(model, dim) {
    this.model = model;
    this.dim = dim;
    this.items = [];
    this.isStopped = false;
    this.update();
  }

  update() {
    this.vectors = { image: new OwnVectors(this.items.map(({ vector }) => vector), this.dim) };
    this.rows = new Map(this.items.map(({ id }, row) => [id, row]));
  }

  take(record) {
    this.items.push({
      id: record.id,
      name: record.id.split("/").at(-1),
      label: null,
      sentences: [],
      more: {},
      vector: record.vector,
      thumbnail: record.thumbnail,
      address: URL.createObjectURL(record.thumbnail),
    });
  }

  // Load the stored pictures; return whether there are any.
  async restore() {
    const stored = (await store("readonly", (pictures) => pictures.getAll())) ?? [];
    stored.filter(({ model }) => model === this.model).forEach((record) => this.take(record));
    this.update();
    return this.items.length > 0;
  }

  keep() {
    return store("readwrite", (pictures) => {
      for (const { id, vector, thumbnail } of this.items) {
        pictures.put({ id, vector, thumbnail, model: this.model });
      }
    });
  }

  async forget() {
    this.items.forEach(({ address }) => URL.revokeObjectURL(address));
    this.items = [];
    this.update();
    await this.discard();
  }

  discard() {
    return store("readwrite", (pictures) => pictures.clear());
  }

  // Index files in workers, and call report({done, total}) after each file.
  async add(files, report) {
    const wanted = [...files].filter(
      (file) => file.type.startsWith("image/") || PICTURE.test(file.name)
    );
    const left = wanted.filter((file) => !this.rows.has(file.webkitRelativePath || file.name));
    const total = left.length;
    const problems = [];
    let finished = 0;
    this.isStopped = false;
    report({ done: 0, total });
    const work = async (encoder) => {
      while (left.length && !this.isStopped) {
        const file = left.shift();
        const id = file.webkitRelativePath || file.name;
        try {
          const found = await encoder.ask("picture", { blob: file, small: true });
          this.take({ id, ...found });
        } catch (error) {
          problems.push(`${id}: ${error.message}.`);
        }
        report({ done: ++finished, total });
      }
    };
    const gpu = await hasGpu();
    const cores = Math.max(1, (navigator.hardwareConcurrency ?? 2) - 1);
    const encoders = Array.from(
      { length: Math.min(gpu ? 1 : cores, MOST_WORKERS, total) },
      () => new Encoder(undefined, gpu)
    );
    await Promise.all(encoders.map(work));
    encoders.forEach((encoder) => encoder.end());
    this.items.sort((a, b) => (a.id < b.id ? -1 : 1));
    this.update();
    return { problems: problems.slice(0, SHOWN_PROBLEMS), failed: problems.length };
  }
}
