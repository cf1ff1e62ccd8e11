// The tokenisers of cmr_hub/encoders/texts: words, and BERT's WordPiece.
const FORMER = /([\p{L}\p{N}]+(?:'(?!s(?![\p{L}\p{N}_]))[\p{L}\p{N}]+)*)(?:'s(?![\p{L}\p{N}_]))?/gu;
const MARKED = "[\\p{L}\\p{N}][\\p{L}\\p{N}\\p{Mn}\\p{Mc}]*";
const END = "(?![\\p{L}\\p{N}\\p{M}_])";
const WORD = new RegExp(`(${MARKED}(?:'(?!s${END})${MARKED})*)(?:'s${END})?`, "gu");
const SCRIPTS = ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"];
const UNSPACED = `(?=[\\p{L}\\p{N}])[${SCRIPTS.map((name) => `\\p{scx=${name}}`).join("")}]`;
const PART = new RegExp(`((?:${UNSPACED}[\\p{Mn}\\p{Mc}]*)+)|(?:(?!${UNSPACED}).)+`, "gu");
const LETTER = /[\p{L}\p{N}][\p{Mn}\p{Mc}]*/gu;
const HAN = /^\p{Script=Han}/u;
const isAscii = (text) => /^[\0-\x7f]*$/.test(text);

// Fold case as Python's str.casefold does: capitals, long s and final sigma are folded, but not the
// dotless i.
const casefolded = (text) =>
  Array.from(text, (one) => (one === "ı" ? one : one.toUpperCase().toLowerCase())).join("");

export const folded = (text, version = 2) => {
  if (isAscii(text)) return text.toLowerCase();
  let plain = text.replace(/(\p{M}{30})\p{M}+/gu, "$1").normalize("NFKC");
  if (version === 1) plain = plain.toLowerCase();
  else {
    plain = casefolded(plain).normalize("NFKC");
    plain = plain.replace(/(?!\u200b)\p{Default_Ignorable_Code_Point}/gu, "");
  }
  return plain.replaceAll("’", "'");
};

// Return the folded text and its words with their positions in it.
export const spans = (text, version = 2) => {
  const plain = folded(text, version);
  const found = [...plain.matchAll(version === 1 ? FORMER : WORD)].map((one) => ({
    word: one[1],
    start: one.index,
    end: one.index + one[0].length,
  }));
  return { plain, words: found };
};
const wholeWords = (text, version) => spans(text, version).words.map(({ word }) => word);

// Split words of scripts without spaces into pairs of letters, and also into single Han letters.
export const pieces = (word) => {
  if (isAscii(word)) return [word];
  const found = [];
  for (const [part, unspaced] of word.matchAll(PART)) {
    if (unspaced === undefined) {
      const bare = part.replace(/^'+|'+$/g, "");
      if (bare) found.push(bare);
      continue;
    }
    const letters = unspaced.match(LETTER);
    letters.forEach((letter, at) => {
      if (letters.length === 1 || HAN.test(letter)) found.push(letter);
      if (at + 1 < letters.length) found.push(letter + letters[at + 1]);
    });
  }
  return found;
};
export const words = (text, version = 2) => {
  const found = wholeWords(text, version);
  return version === 1 || isAscii(text) ? found : found.flatMap(pieces);
};

const CHINESE = [
  [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f], [0x2b820, 0x2ceaf], [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
];
const isChinese = (letter) => {
  const code = letter.codePointAt(0);
  return CHINESE.some(([first, last]) => first <= code && code <= last);
};
const SPACE = /[\t\n\v\f\r \x85\p{Z}]/u;
const OTHER = /[\p{C}\ufffd]/u;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;

const cleaned = (text) => {
  let clean = "";
  for (const letter of text) {
    if (/[\t\n\r]/.test(letter)) clean += " ";
    else if (OTHER.test(letter)) continue;
    else if (SPACE.test(letter)) clean += " ";
    else clean += isChinese(letter) ? ` ${letter} ` : letter;
  }
  return clean;
};

class WordPieces {
  constructor(definition) {
    Object.assign(this, definition);
    this.index = new Map(definition.vocabulary.map((piece, number) => [piece, number]));
    this.specials = new Set(definition.special.map((piece) => this.index.get(piece)));
    const escaped = definition.special.map((one) => one.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    this.special = new RegExp(`(${escaped.join("|")})`);
  }

  pieces(text) {
    // Special tokens in a text are not split.
    return text.split(this.special).flatMap((part, place) =>
      place % 2 ? [this.index.get(part)] : this.split(part).flatMap((word) => this.parts(word))
    );
  }

  split(text) {
    let clean = cleaned(text);
    if (this.strip_accents) clean = clean.normalize("NFD").replace(/\p{Mn}/gu, "");
    const found = [];
    let word = "";
    const end = () => {
      if (word) found.push(word);
      word = "";
    };
    for (let letter of clean) {
      if (this.lower) letter = letter.toLowerCase();
      if (SPACE.test(letter)) end();
      else if (PUNCTUATION.test(letter)) {
        end();
        found.push(letter);
      } else word += letter;
    }
    end();
    return found;
  }

  parts(word) {
    const letters = [...word];
    const unknown = [this.index.get(this.unknown)];
    if (letters.length > this.longest) return unknown;
    const found = [];
    for (let start = 0; start < letters.length; ) {
      let end = letters.length;
      let number;
      for (; end > start; end--) {
        const piece = (start ? this.prefix : "") + letters.slice(start, end).join("");
        number = this.index.get(piece);
        if (number !== undefined) break;
      }
      if (number === undefined) return unknown;
      found.push(number);
      start = end;
    }
    return found;
  }

  // Return the words that are checked against the vocabulary.
  units(text) {
    return wholeWords(text, 2);
  }

  knows(word) {
    return this.pieces(word).some((piece) => !this.specials.has(piece));
  }

  // Return the network's inputs for one text.
  feed(text) {
    const middle = this.pieces(text).slice(0, this.max_tokens - 2);
    const ids = [this.index.get(this.first), ...middle, this.index.get(this.last)];
    return { input_ids: ids, attention_mask: ids.map(() => 1), token_type_ids: ids.map(() => 0) };
  }
}

class WholeWords {
  constructor(definition) {
    this.index = new Map(definition.vocabulary.map((word, number) => [word, number]));
    this.version = definition.words_version;
  }

  units(text) {
    return words(text, this.version);
  }

  knows(word) {
    return this.index.has(word);
  }

  feed(text) {
    return { ids: this.units(text).filter((word) => this.knows(word)).map((word) => this.index.get(word)) };
  }
}

export const tokeniser = (definition) =>
  definition.kind === "words" ? new WholeWords(definition) : new WordPieces(definition);
