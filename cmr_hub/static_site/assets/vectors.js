// Search unit vectors: scan all rows with 8-bit integers, and score candidates with float16.
const HALVES = (() => {
  const values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const rest = bits & 1023;
    const size = exponent
      ? exponent === 31 ? NaN : 2 ** (exponent - 15) * (1 + rest / 1024)
      : rest * 2 ** -24;
    values[bits] = bits & 0x8000 ? -size : size;
  }
  return values;
})();
const CLEAR_AMONG = 1000;
const NEAR_DUPLICATE = 0.98;
const ROUNDING = 1e-5; // error bound of float16 vectors and float32 sums

export const dot = (a, b) => {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
};
export const unit = (vector) => {
  const length = Math.sqrt(dot(vector, vector));
  if (!length) throw new Error("These parts of the query cancel each other out; change one");
  return Float64Array.from(vector, (value) => value / length);
};

// q = w - Σ a (u - max(0, u·ŵ) ŵ): subtract unwanted parts without their component along w.
export const mixed = (parts) => {
  const dim = parts[0].vector.length;
  const wanted = new Float64Array(dim);
  for (const { weight, vector } of parts) {
    if (weight > 0) vector.forEach((value, at) => (wanted[at] += weight * value));
  }
  const length = Math.sqrt(dot(wanted, wanted));
  const mix = Float64Array.from(wanted);
  for (const { weight, vector } of parts) {
    if (weight >= 0) continue;
    const shared = length > 0 ? Math.max(dot(vector, wanted) / length, 0) / length : 0;
    vector.forEach((value, at) => (mix[at] += weight * (value - shared * wanted[at])));
  }
  return mix;
};

class Vectors {
  // rows: the item of each vector; null if every item has a vector.
  constructor(count, dim, rows) {
    this.count = count;
    this.dim = dim;
    this.rows = rows;
    this.places = rows && new Map(rows.map((row, place) => [row, place]));
  }

  row(place) {
    return this.rows ? this.rows[place] : place;
  }

  of(row) {
    const place = this.rows ? this.places.get(row) : row < this.count ? row : undefined;
    return place === undefined ? null : this.vector(place);
  }

  // Return at most `count` hits, best first; see cmr_hub/gallery/pages.py.
  search(query, count, { allowed, minScore = null, clear = null, distinct = false, isText = true }) {
    const limit = clear === null ? Infinity : Math.max(count, CLEAR_AMONG);
    const isFiltered = clear !== null || distinct;
    for (let fetched = count; ; fetched = Math.min(2 * fetched, limit)) {
      const found = this.nearest(query, fetched, allowed);
      const hits = [];
      for (const { place, score } of found) {
        const z = isText ? this.z(place, score) : null;
        if (minScore !== null && score < minScore) break;
        if (clear !== null && z !== null && z < clear) continue;
        const vector = distinct ? this.vector(place) : null;
        if (distinct && hits.some((hit) => dot(hit.vector, vector) > NEAR_DUPLICATE)) continue;
        hits.push({ row: this.row(place), score: Math.min(Math.max(score, -1), 1), z, vector });
      }
      const isShort = hits.length < count && found.length === fetched && fetched < limit;
      const admits = found.length && (minScore === null || found.at(-1).score >= minScore);
      if (!isFiltered || !isShort || !admits) return hits.slice(0, count);
    }
  }

  scored(query, places) {
    return places
      .map((place) => ({ place, score: dot(this.vector(place), query) }))
      .sort((a, b) => b.score - a.score || a.place - b.place);
  }

  chosen(allowed) {
    const places = [];
    for (let place = 0; place < this.count; place++) {
      if (!allowed || allowed(this.row(place))) places.push(place);
    }
    return places;
  }
}

// The vectors of the gallery in the format of cmr_hub/static_site/data.py.
export class StoredVectors extends Vectors {
  constructor({ count, rows }, dim, hasNeutral, coarse, exact) {
    super(count, dim, rows);
    this.hasNeutral = hasNeutral;
    const numbers = (part) => new Float32Array(coarse, 4 * count * part, count);
    [this.scales, this.errors, this.means, this.spreads] = [0, 1, 2, 3].map(numbers);
    this.whole = new Int8Array(coarse, 16 * count, count * dim);
    this.exact = new Uint16Array(exact);
  }

  vector(place) {
    const start = place * this.dim;
    return Float32Array.from(this.exact.subarray(start, start + this.dim), (bits) => HALVES[bits]);
  }

  spread(row) {
    return this.hasNeutral ? this.spreads[this.rows ? this.places.get(row) : row] : 0;
  }

  z(place, score) {
    if (!this.hasNeutral) return null;
    const spread = this.spreads[place];
    return spread > 0 ? (score - this.means[place]) / spread : 0;
  }

  nearest(query, count, allowed) {
    const places = this.chosen(allowed);
    if (places.length <= 2 * count) return this.scored(query, places).slice(0, count);
    const short = Float32Array.from(query);
    const { whole, scales, errors, dim } = this;
    const upper = new Float64Array(places.length);
    const lower = new Float64Array(places.length);
    for (let number = 0; number < places.length; number++) {
      const place = places[number];
      const start = place * dim;
      let one = 0;
      let two = 0;
      let three = 0;
      let four = 0;
      let at = 0;
      for (; at + 3 < dim; at += 4) {
        one += short[at] * whole[start + at];
        two += short[at + 1] * whole[start + at + 1];
        three += short[at + 2] * whole[start + at + 2];
        four += short[at + 3] * whole[start + at + 3];
      }
      for (; at < dim; at++) one += short[at] * whole[start + at];
      const score = scales[place] * (one + two + three + four);
      // By the Cauchy-Schwarz inequality, because the query has length 1.
      upper[number] = score + errors[place] + ROUNDING;
      lower[number] = score - errors[place] - ROUNDING;
    }
    const least = Float64Array.from(lower).sort().at(-count);
    const candidates = places.filter((_, number) => upper[number] >= least);
    return this.scored(query, candidates).slice(0, count);
  }
}

// The vectors of the visitor's pictures.
export class OwnVectors extends Vectors {
  constructor(list, dim) {
    super(list.length, dim, null);
    this.list = list;
  }

  vector(place) {
    return this.list[place];
  }

  spread() {
    return 0;
  }

  z() {
    return null;
  }

  nearest(query, count, allowed) {
    return this.scored(query, this.chosen(allowed)).slice(0, count);
  }
}
