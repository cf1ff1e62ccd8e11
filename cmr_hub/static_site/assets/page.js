// The page: loading, fields and results.
import { hasCamera, photograph } from "./camera.js";
import { OwnPictures } from "./own.js";
import { notes, Search } from "./search.js";
import * as shared from "./shared.js";
import { dot, StoredVectors } from "./vectors.js";
import { Encoder } from "./workers.js";

const $ = (id) => document.getElementById(id);
const EMPTY = "Describe a picture, choose one, or click an example.";
const NO_PICTURES = "You have not added any pictures yet; choose some above.";
const NOT_KEPT = "There is not enough space in this browser to keep the pictures.";
const MAX_CACHED = 64e6; // maximum size of pictures cached for offline use, in bytes
// The smallest WebAssembly module with a SIMD instruction.
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11
);

// Create a component of the served page, and return a function that sets its values.
const mount = (component, element, props, listeners) => {
  const watchers = {};
  const watch = (name, render) => (watchers[name] = render);
  const trigger = (event, data) => listeners[event]?.(data ?? {});
  component(element, props, trigger, watch);
  return (name, value) => {
    props[name] = value;
    watchers[name]?.();
  };
};

// ---- Loading

const progress = {};
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
const report = (path, loaded) => {
  progress[path].loaded = loaded;
  const all = Object.values(progress);
  const [has, needs] = ["loaded", "total"].map((name) => all.reduce((sum, one) => sum + one[name], 0));
  $("loading").querySelector("progress").value = has / needs;
  $("loading").querySelector("p").textContent =
    has < needs
      ? `Loading the model and the gallery: ${megabytes(has)} of ${megabytes(needs)} MB`
      : "Starting the model …";
};
const expect = (sizes, ...paths) => {
  for (const path of paths) if (sizes[path]) progress[path] = { loaded: 0, total: sizes[path] };
};
const fetched = async (path) => {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error(`${path} could not be loaded (${reply.status})`);
  return reply;
};
const loaded = async (path) => {
  const content = await (await fetched(path)).arrayBuffer();
  report(path, content.byteLength);
  return content;
};

const state = { where: "gallery", picture: null, like: null, answer: null, further: 0 };
const collections = {};
let search;

const begin = async () => {
  if (!self.WebAssembly || !WebAssembly.validate(SIMD)) {
    throw new Error(
      "This browser cannot run the model: it has no WebAssembly with SIMD. Use a newer browser, such as Firefox, Chrome, Edge or Safari of 2023 or later"
    );
  }
  const encoder = new Encoder((path, size) => path in progress && report(path, size));
  search = new Search(encoder);
  const site = await (await fetched("data/site.json")).json();
  const names = Object.keys(site.vectors);
  const files = names.flatMap((name) => [`data/${name}.bin`, `data/${name}-exact.bin`]);
  const wasm = "runtime/ort-wasm-simd-threaded.wasm";
  expect(site.bytes, "data/items.json", "model/text.onnx", wasm, ...files);
  const isReady = encoder.ask("load", { part: "text" });
  const [content, ...parts] = await Promise.all(["data/items.json", ...files].map(loaded));
  const items = JSON.parse(new TextDecoder().decode(content));
  items.forEach((item, row) => (item.address = item.picture ? `pictures/${row}.webp` : null));
  const vectors = Object.fromEntries(
    names.map((name, place) => [
      name,
      new StoredVectors(site.vectors[name], site.model.dim, site.has_neutral, parts[2 * place], parts[2 * place + 1]),
    ])
  );
  const rows = new Map(items.map(({ id }, row) => [id, row]));
  collections.gallery = { items, rows, vectors, hasNeutral: site.has_neutral, filters: site.filters, ranges: site.ranges };
  collections.own = new OwnPictures(`${site.model.fingerprint} ${site.model.precision}`, site.model.dim);
  $("facts").textContent =
    `${site.count.toLocaleString("en")} items. Everything is computed in your browser: nothing leaves this machine.`;
  prepareOptions(site);
  showExamples(site.examples);
  await restore();
  await isReady;
  return { site, items };
};

const restore = async () => {
  try {
    if (!(await collections.own.restore())) return;
    $("keep").checked = true;
    ownStatus(`${collections.own.items.length} pictures, kept in this browser.`);
  } catch {
    $("keep").disabled = true; // a private window may have no IndexedDB
  }
};

const goOffline = async (items) => {
  if (!("serviceWorker" in navigator) || !self.isSecureContext) return;
  await navigator.serviceWorker.register("sw.js");
  const { active } = await navigator.serviceWorker.ready;
  const pictures = items.filter(({ address }) => address).map(({ address }) => address);
  if (pictures.length * 20e3 < MAX_CACHED) active.postMessage({ pictures });
};

// ---- The query

const make = (tag, attributes, ...children) => {
  const node = document.createElement(tag);
  Object.assign(node, attributes);
  node.append(...children);
  return node;
};

const ENDS = { day: ["from", "until"], number: ["at least", "at most"] };
const prepareOptions = ({ filters, ranges, has_neutral, vectors }) => {
  $("clear-field").hidden = !has_neutral;
  $("show").closest("label").hidden = !vectors.text || !vectors.image;
  const label = (title, field) => make("label", {}, title[0].toUpperCase() + title.slice(1), field);
  const lists = filters.map(({ title, values }, number) =>
    label(
      title,
      make(
        "select",
        { id: `filter-${number}`, multiple: true, onchange: run },
        ...values.map((value, code) => make("option", { value: code, textContent: value }))
      )
    )
  );
  const ends = ranges.flatMap(({ title, kind, min, max }, number) =>
    ENDS[kind].map((end, place) =>
      label(
        `${title} ${end}`,
        make("input", {
          id: `range-${number}-${place}`, type: kind === "day" ? "date" : "number", step: "any", min, max,
          placeholder: [min, max][place], onchange: run,
        })
      )
    )
  );
  $("filters").replaceChildren(...lists, ...ends);
};

// Return a function that tests whether a row satisfies the filters, or null without filters.
const condition = ({ filters = [], ranges = [] }) => {
  const chosen = filters
    .map(({ rows }, number) => {
      const codes = new Set([...$(`filter-${number}`).selectedOptions].map(({ value }) => Number(value)));
      return codes.size ? (row) => codes.has(rows[row]) : null;
    })
    .concat(
      ranges.map(({ rows, kind }, number) => {
        const ends = [0, 1].map((place) => $(`range-${number}-${place}`).value);
        const [least, most] = ends.map((end) => (end === "" ? null : kind === "day" ? end : Number(end)));
        if (least === null && most === null) return null;
        return (row) =>
          rows[row] !== null && (least === null || rows[row] >= least) && (most === null || rows[row] <= most);
      })
    )
    .filter(Boolean);
  return chosen.length ? (row) => chosen.every((admits) => admits(row)) : null;
};

const within = (id, least, most) => Math.min(Math.max(Number($(id).value) || 0, least), most);

const options = () => {
  return {
    text: $("text").value.trim(),
    unwanted: $("unwanted").value.trim(),
    picture: state.picture,
    like: state.like,
    weight: within("weight", 0, 3),
    count: Math.round(within("count", 1, 100)) * (1 + state.further),
    show: $("show").value,
    minScore: within("min-score", 0, 1) || null,
    clear: within("clear-hits", 0, 6) || null,
    distinct: $("distinct").checked,
    allowed: condition(collections[state.where]),
  };
};

// For tests and other scripts: return the ids and scores of the results of a query.
export const answer = async (where, given) => {
  const defaults = {
    text: "", unwanted: "", picture: null, like: null, weight: 1, count: 10, show: "automatic",
    minScore: null, clear: null, distinct: false, allowed: null,
  };
  const { items } = collections[where];
  const found = await search.answer(collections[where], { ...defaults, ...given });
  const shown = (hits) => hits?.map(({ row, score, z }) => ({ id: items[row].id, score, z })) ?? null;
  return { image: shown(found.image), text: shown(found.text) };
};
export const ask = (task, given) => search.encoder.ask(task, given);

// ---- The results

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
const hit = (items) => ({ row, score, z }, place) => {
  const { id, name, label, sentences, address } = items[row];
  return {
    rank: place + 1, id, score, z, class: label, sentences, picture: address,
    caption: sentences[0] ?? name,
  };
};
const counted = (hits, noun) => hits && `${hits.length} ${noun}${hits.length === 1 ? "" : "s"}`;

const summary = ({ image, text, options: given }, milliseconds) => {
  if (!image?.length && !text?.length) {
    if (given.clear !== null) return "Nothing here stands out for this query.";
    const isNarrow = given.allowed || given.minScore !== null;
    return `Nothing was found; ${isNarrow ? "remove a filter or lower the minimum score" : "try another query"}.`;
  }
  const parts = [counted(image, "picture"), counted(text, "sentence")].filter(Boolean);
  return `${parts.join(" and ")} found in ${Math.max(1, Math.round(milliseconds))} ms.`;
};

let turn = 0;
const run = async () => {
  const own = ++turn;
  const collection = collections[state.where];
  if (!collection) return;
  if (!collection.items.length) {
    show("value", { status: NO_PICTURES, tone: "hint" });
    return;
  }
  const given = options();
  if (given.picture && !isImageLoaded) show("value", { status: loadingImages(), tone: "hint" });
  try {
    const started = performance.now();
    const found = await search.answer(collection, given);
    if (own !== turn) return;
    if (given.picture) isImageLoaded = true;
    state.answer = found;
    if (!found) {
      show("value", { status: EMPTY, tone: "hint" });
      return;
    }
    const { items } = collection;
    const like = state.like === null ? null : items[state.like];
    show("value", {
      status: [summary(found, performance.now() - started), ...notes(given, found.unknown)].join("\n"),
      tone: "found",
      pictures: (found.image ?? []).map(hit(items)),
      texts: (found.text ?? []).map(hit(items)),
      more: [found.image, found.text].some((hits) => hits?.length === given.count),
      like: like && { title: like.label ?? like.name, picture: like.address },
    });
  } catch (error) {
    if (own === turn) show("value", { status: sentence(error.message), tone: "error" });
  }
};

let isImageLoaded = false;
let imageBytes = 0;
const loadingImages = () =>
  `Loading the image model (${megabytes(imageBytes)} MB, only once) …`;

const moreLike = ({ id }) => {
  state.like = collections[state.where].rows.get(id);
  state.further = 0;
  run();
  $("results").scrollIntoView({ block: "nearest" });
};

const explain = async ({ id, target }) => {
  const collection = collections[state.where];
  const row = collection.rows.get(id);
  const item = collection.items[row];
  const kind = collection.vectors[target]?.of(row) ? target : Object.keys(collection.vectors).find((name) => collection.vectors[name].of(row));
  const vector = collection.vectors[kind].of(row);
  const place = state.answer?.[kind]?.findIndex((one) => one.row === row) ?? -1;
  const near = (name) => search.near(collection, row, name).map(hit(collection.items));
  const value = {
    id, target, title: item.label ?? item.name, class: item.label, sentences: item.sentences,
    picture: item.address, more: item.more, rank: place < 0 ? null : place + 1,
    near: { pictures: near("image"), texts: near("text") }, classes: {}, heat: false,
  };
  if (state.answer && state.answer.options.like !== row) {
    value.score = dot(vector, state.answer.vector);
    if (state.answer.parts.some(({ text }) => text !== undefined)) {
      value.words = await search.contributions(state.answer, vector, collection.vectors[kind].spread(row));
    }
  }
  look("value", value);
};

const further = () => {
  state.further += 1;
  return run();
};
const listeners = { select: explain, like: moreLike, clear: () => fresh(), expand: further };
const show = mount(shared.results, $("results"), { value: { status: "" }, panel: "site" }, listeners);
const look = mount(shared.viewer, $("viewer"), { value: null, panel: "site" }, listeners);

const showExamples = ({ sentences, pictures }) => {
  const { items } = collections.gallery;
  const value = {
    sentences,
    pictures: pictures.map((row) => ({ id: items[row].id, caption: items[row].label ?? items[row].name, picture: items[row].address })),
  };
  mount(shared.examples, $("examples"), { value }, {
    select: async ({ text, id }) => {
      $("text").value = text ?? "";
      await givePicture(id === undefined ? null : await (await fetch(items[collections.gallery.rows.get(id)].address)).blob());
    },
  });
};

// ---- The fields

// A new query ends "more like this".
const fresh = () => {
  state.like = null;
  state.further = 0;
  return run();
};

const givePicture = (blob) => {
  const given = $("given");
  if (given.src) URL.revokeObjectURL(given.src);
  state.picture = blob;
  given.hidden = $("clear").hidden = !blob;
  if (blob) given.src = URL.createObjectURL(blob);
  else given.removeAttribute("src");
  return fresh();
};

const ownStatus = (text) => {
  $("own-status").textContent = text;
  $("forget").hidden = !collections.own.items.length;
};

// Store the visitor's pictures, and return whether there was enough space. Earlier ones remain.
const keepOwn = async () => {
  try {
    await collections.own.keep();
    return true;
  } catch {
    $("keep").checked = false;
    return false;
  }
};

const index = async (files) => {
  const { own } = collections;
  $("progress").hidden = $("stop").hidden = false;
  $("forget").hidden = true;
  const finished = await own.add(files, ({ done, total }) => {
    $("progress").value = total ? done / total : 1;
    $("own-status").textContent = done ? `${done} of ${total} pictures …` : `Loading the image model (${megabytes(imageBytes)} MB) …`;
  });
  $("progress").hidden = $("stop").hidden = true;
  const more = finished.failed - finished.problems.length;
  const lines = [`${own.items.length} pictures can be searched.`, ...finished.problems];
  if (more > 0) lines.push(`${more} more could not be read.`);
  if ($("keep").checked && !(await keepOwn())) lines.push(NOT_KEPT);
  ownStatus(lines.join("\n"));
  run();
};

const listen = () => {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    fresh();
  });
  for (const id of ["unwanted", "weight", "show", "count", "min-score", "clear-hits", "distinct"]) {
    $(id).addEventListener("change", run);
  }
  for (const id of ["picture", "camera"]) {
    $(id).addEventListener("change", ({ target }) => {
      if (target.files.length) givePicture(target.files[0]);
      target.value = "";
    });
  }
  $("clear").addEventListener("click", () => givePicture(null));
  $("camera-file").hidden = hasCamera();
  $("camera-open").hidden = !hasCamera();
  $("camera-open").addEventListener("click", async () => {
    try {
      const photo = await photograph($("camera-dialog"));
      if (photo) givePicture(photo);
    } catch (error) {
      show("value", { status: sentence(error.message), tone: "error" });
    }
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    const file = [...clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (file) givePicture(file);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) givePicture(file);
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "/" && !isTyping && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      $("text").focus();
    }
  });
  for (const radio of document.querySelectorAll("[name=where]")) {
    radio.addEventListener("change", () => {
      state.where = radio.value;
      const isOwn = radio.value === "own";
      $("own").hidden = !isOwn;
      for (const id of ["examples", "gallery-only"]) $(id).hidden = isOwn;
      fresh();
    });
  }
  for (const id of ["folder", "files"]) {
    $(id).addEventListener("change", ({ target }) => {
      const files = [...target.files];
      target.value = "";
      index(files);
    });
  }
  $("stop").addEventListener("click", () => (collections.own.isStopped = true));
  $("keep").addEventListener("change", async () => {
    if (!$("keep").checked) await collections.own.discard();
    else if (!(await keepOwn())) ownStatus(NOT_KEPT);
  });
  $("forget").addEventListener("click", async () => {
    await collections.own.forget();
    ownStatus("Your pictures were removed.");
    run();
  });
};

export const ready = (async () => {
  try {
    const { site, items } = await begin();
    imageBytes = site.bytes["model/image.onnx"];
    $("loading").hidden = true;
    listen();
    await run();
    document.documentElement.dataset.ready = "true";
    goOffline(items).catch(() => {});
  } catch (error) {
    $("loading").hidden = true;
    show("value", { status: sentence(error.message), tone: "error" });
  }
})();
