// Answer queries and explain the scores; see cmr_hub/apps/search_page/engine.py.
import { pieces, spans, words } from "./tokens.js";
import { dot, mixed, unit } from "./vectors.js";

const UNWANTED = 0.3;
const NEIGHBOURS = 6;
const MOST_WORDS = 64;
const CLEAR_WORD = 1;
const NEGATIONS = new Set(
  "no not never none neither nor nobody nothing cannot without except".split(" ")
);

const vectorOf = ({ vectors }, row) => vectors.image?.of(row) ?? vectors.text?.of(row);

export class Search {
  constructor(encoder) {
    this.encoder = encoder;
  }

  // Return the parts of a query as weighted vectors, and the unknown words.
  async parts({ text, unwanted, picture, weight }) {
    const given = [];
    if (picture) {
      const { vector } = await this.encoder.ask("picture", { blob: picture });
      given.push({ weight: 1, vector });
    }
    const texts = [];
    if (text) texts.push({ weight: picture ? weight : 1, text });
    if (!texts.length && !picture) {
      throw new Error("The query only says what to exclude; also enter a sentence or choose a picture");
    }
    if (unwanted) texts.push({ weight: -UNWANTED, text: unwanted });
    const found = await this.encoder.ask("texts", { given: texts.map((one) => one.text) });
    const unknown = new Set();
    texts.forEach((one, place) => {
      const { vector, unknown: own } = found[place];
      if (!vector) {
        throw new Error(
          own.length
            ? `No word of the text is known to this model: ${own.slice(0, 8).join(", ")}; use other words`
            : "The text has no words; type a sentence"
        );
      }
      own.forEach((word) => unknown.add(word));
      given.push({ ...one, vector });
    });
    return { parts: given, unknown: [...unknown] };
  }

  // Return the results, or null for an empty query.
  async answer(collection, options) {
    const { text, unwanted, picture, like } = options;
    if (!text && !unwanted && !picture && like === null) return null;
    let parts = [];
    let unknown = [];
    if (like === null) ({ parts, unknown } = await this.parts(options));
    else {
      parts = [{ weight: 1, vector: vectorOf(collection, like) }];
    }
    const vector = unit(mixed(parts));
    const isText = !picture && like === null;
    const found = { image: null, text: null };
    for (const target of this.targets(collection, options)) {
      const vectors = collection.vectors[target];
      if (!vectors?.count) continue;
      const count = options.count + (like === null ? 0 : 1);
      const settings = { ...options, isText, clear: isText && collection.hasNeutral ? options.clear : null };
      found[target] = vectors
        .search(vector, count, settings)
        .filter(({ row }) => row !== like)
        .slice(0, options.count);
    }
    return { options, parts, vector, unknown, isText, ...found };
  }

  targets({ vectors }, { show, picture, like }) {
    if (show === "pictures") return ["image"];
    if (show === "sentences") return ["text"];
    if (show === "both" || picture || like !== null) return ["image", "text"];
    return vectors.image?.count ? ["image"] : ["text"];
  }

  near(collection, row, target) {
    const own = unit(vectorOf(collection, row));
    return (collection.vectors[target]?.search(own, NEIGHBOURS + 1, { isText: false }) ?? [])
      .filter((hit) => hit.row !== row)
      .slice(0, NEIGHBOURS);
  }

  // Return how much the score drops without each word; see cmr_hub/gallery/explain.py.
  async contributions({ parts }, vector, spread) {
    const score = (changed) => {
      const mix = mixed(changed);
      const length = Math.sqrt(dot(mix, mix));
      return length ? dot(mix, vector) / length : 0;
    };
    const whole = score(parts);
    const found = [];
    for (const [place, { text, weight }] of parts.entries()) {
      if (text === undefined) continue;
      const { plain, words: all } = spans(text);
      const some = all.slice(0, MOST_WORDS);
      const erased = some.map(({ start, end }) => `${plain.slice(0, start)} ${plain.slice(end)}`);
      const [{ unknown }, ...rest] = await this.encoder.ask("texts", { given: [text, ...erased] });
      some.forEach(({ word }, number) => {
        const isKnown =
          !unknown.includes(word) && !pieces(word).every((piece) => unknown.includes(piece));
        const without = rest[number].vector ?? new Float32Array(vector.length);
        const changed = parts.with(place, { weight, vector: without });
        const drop = isKnown ? whole - score(changed) : 0;
        found.push({ word, known: isKnown, wanted: weight > 0, score: drop, z: spread > 0 ? drop / spread : null });
      });
    }
    const largest = Math.max(...found.map((one) => Math.abs(one.score)), 1e-9);
    const strength = ({ z, score: drop }) => {
      if (z === null) return Math.abs(drop) / largest;
      return Math.abs(z) >= CLEAR_WORD ? Math.min(Math.abs(z) / (2 * CLEAR_WORD), 1) : 0;
    };
    return found.map((one) => ({ ...one, strength: strength(one) }));
  }
}

// Return notes about the words of a query; see cmr_hub/gallery/notes.py.
export const notes = ({ text, unwanted }, unknown) => {
  const found = [];
  if (unknown.length) {
    const more = unknown.length > 8 ? ` and ${unknown.length - 8} more` : "";
    const shown = unknown.slice(0, 8).map((word) => word.slice(0, 40)).join(", ");
    found.push(`Left out, as this model does not know them: ${shown}${more}.`);
  }
  const negation = words(`${text} ${unwanted}`).find(
    (word) => NEGATIONS.has(word) || word.endsWith("n't")
  );
  if (negation) {
    found.push(
      `The word “${negation}” is not understood: what follows it is searched for nevertheless. ` +
        "Say what should not be there in the field Without of the options."
    );
  }
  return found;
};
