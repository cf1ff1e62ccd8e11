// Decode and preprocess pictures with the same results as Pillow, bit for bit.
const FILTERS = {
  bilinear: { support: 1, at: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: {
    support: 2,
    at: (position) => {
      const x = Math.abs(position);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};
const BITS = 22;
const HALF = 1 << (BITS - 1);
const MAX_PIXELS = 89_000_000;
const MAX_BYTES = 64 * 2 ** 20;

// Return the weights of the input pixels between `first` and `last` for each of `out` pixels.
const coefficients = (length, first, last, out, filter) => {
  const scale = Math.fround(last - first) / out;
  const wide = Math.max(scale, 1);
  const support = filter.support * wide;
  return Array.from({ length: out }, (_, place) => {
    const centre = first + (place + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), length);
    const weights = Array.from({ length: end - start }, (_, x) =>
      filter.at((x + start - centre + 0.5) * (1 / wide))
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return {
      start,
      weights: Int32Array.from(weights, (weight) => {
        const exact = (sum ? weight / sum : weight) * (1 << BITS);
        return Math.trunc(exact < 0 ? exact - 0.5 : exact + 0.5);
      }),
    };
  });
};
const clip = (sum) => {
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

// Resize the part `box` of RGB pixels to a square, horizontally and then vertically.
export const resized = ({ data, width, height }, box, side, resampling) => {
  const [left, top, right, bottom] = box.map(Math.fround);
  const filter = FILTERS[resampling];
  const across = coefficients(width, left, right, side, filter);
  const down = coefficients(height, top, bottom, side, filter);
  const firstRow = down[0].start;
  const lastRow = down[side - 1].start + down[side - 1].weights.length;
  const narrow = new Uint8Array((lastRow - firstRow) * side * 3);
  for (let y = firstRow, at = 0; y < lastRow; y++) {
    for (const { start, weights } of across) {
      let from = 3 * (y * width + start);
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let x = 0; x < weights.length; x++, from += 3) {
        red += data[from] * weights[x];
        green += data[from + 1] * weights[x];
        blue += data[from + 2] * weights[x];
      }
      narrow[at++] = clip(red);
      narrow[at++] = clip(green);
      narrow[at++] = clip(blue);
    }
  }
  const square = new Uint8Array(side * side * 3);
  down.forEach(({ start, weights }, row) => {
    for (let column = 0; column < 3 * side; column++) {
      let sum = HALF;
      let from = 3 * side * (start - firstRow) + column;
      for (let y = 0; y < weights.length; y++, from += 3 * side) sum += narrow[from] * weights[y];
      square[3 * side * row + column] = clip(sum);
    }
  });
  return square;
};

// Return the width of a JPEG, and whether its chroma has half the columns and half the rows. Return
// null for other files and other numbers of colours.
const jpeg = async (blob) => {
  for (let at = 2; ; ) {
    const segment = new DataView(await blob.slice(at, at + 20).arrayBuffer());
    if (segment.byteLength < 20 || segment.getUint8(0) !== 0xff) return null;
    const marker = segment.getUint8(1);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      if (segment.getUint8(9) !== 3) return null;
      const [luma, chroma] = [segment.getUint8(11), segment.getUint8(14)];
      const halved = [luma >> 4 === 2 * (chroma >> 4), (luma & 15) === 2 * (chroma & 15)];
      return { width: segment.getUint16(7), halved };
    }
    at += 2 + segment.getUint16(2);
  }
};

// Invert the upsampling of chroma, for which decoders compute (3 a + b) / 4 of two neighbours.
const undoubled = (line, length, out) => {
  for (let at = 0; at < length; at += 2) {
    const left = at ? 3 * line[at] - line[at - 1] : 2 * line[at];
    let right = left;
    if (at + 2 < length) right = 3 * line[at + 1] - line[at + 2];
    else if (at + 1 < length) right = 2 * line[at + 1];
    out[at / 2] = (left + right) / 4;
  }
};
const halfColumns = ({ plane, width, height }) => {
  const narrow = Math.ceil(width / 2);
  const half = new Float32Array(narrow * height);
  for (let y = 0; y < height; y++) {
    undoubled(plane.subarray(y * width, (y + 1) * width), width, half.subarray(y * narrow));
  }
  return { plane: half, width: narrow, height };
};
const halfRows = ({ plane, width, height }) => {
  const low = Math.ceil(height / 2);
  const half = new Float32Array(width * low);
  const [line, out] = [new Float32Array(height), new Float32Array(low)];
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) line[y] = plane[y * width + x];
    undoubled(line, height, out);
    for (let y = 0; y < low; y++) half[y * width + x] = out[y];
  }
  return { plane: half, width, height: low };
};
const averaged = ({ plane, width, height }, across, down, side) => {
  const small = new Float32Array(across * down);
  for (let y = 0, at = 0; y < down; y++) {
    for (let x = 0; x < across; x++, at++) {
      for (let row = y * side; row < (y + 1) * side; row++) {
        const line = Math.min(row, height - 1) * width;
        for (let column = x * side; column < (x + 1) * side; column++) {
          small[at] += plane[line + Math.min(column, width - 1)];
        }
      }
      small[at] = Math.round(small[at] / side ** 2);
    }
  }
  return small;
};

// Double the columns of a plane as decoders do, or repeat them.
const doubledColumns = (plane, across, down, width, isSmooth) => {
  const wide = new Float32Array(width * down);
  for (let y = 0, at = 0; y < down; y++) {
    for (let x = 0; x < width; x++, at++) {
      const own = x >> 1;
      const neighbour = Math.min(Math.max(own + (x % 2 ? 1 : -1), 0), across - 1);
      const from = y * across;
      wide[at] = isSmooth ? (3 * plane[from + own] + plane[from + neighbour]) / 4 : plane[from + own];
    }
  }
  return wide;
};

// Pillow's JPEG decoder shrinks large photographs by 2, 4 or 8: it averages squares of luma and of
// stored chroma. Chroma with half the columns and rows is averaged over half the square. Chroma with
// half the columns only is doubled afterwards.
const shrunk = ({ data, width, height }, by, halved) => {
  const [across, down] = [width, height].map((length) => Math.ceil(length / by));
  const [luma, blue, red] = [
    [0, 0.299, 0.587, 0.114],
    [128, -0.168735892, -0.331264108, 0.5],
    [128, 0.5, -0.418687589, -0.081312411],
  ].map(([offset, r, g, b], component) => {
    const plane = new Float32Array(width * height);
    for (let at = 0, from = 0; at < plane.length; at++, from += 3) {
      plane[at] = offset + r * data[from] + g * data[from + 1] + b * data[from + 2];
    }
    const whole = { plane, width, height };
    const [columns, rows] = component ? halved : [false, false];
    if (columns && rows) return averaged(halfRows(halfColumns(whole)), across, down, by / 2);
    if (!columns) return averaged(whole, across, down, by);
    const half = Math.ceil(across / 2);
    return doubledColumns(averaged(halfColumns(whole), half, down, by), half, down, across, by < 8);
  });
  const small = new Uint8ClampedArray(3 * luma.length);
  for (let at = 0; at < luma.length; at++) {
    const [u, v] = [blue[at] - 128, red[at] - 128];
    small[3 * at] = luma[at] + 1.402 * v;
    small[3 * at + 1] = luma[at] - 0.344136286 * u - 0.714136286 * v;
    small[3 * at + 2] = luma[at] + 1.772 * u;
  }
  return { data: small, width: across, height: down };
};

// Decode a picture upright and without colour management.
export const bitmapOf = async (blob) => {
  if (blob.size > MAX_BYTES) throw new Error("This picture is larger than 64 MB; choose a smaller one");
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new Error("This file is not a picture that your browser can read");
  }
};

const rgb = (bitmap) => {
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) throw new Error("This picture has more than 89 million pixels");
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    data[to++] = rgba[from];
    data[to++] = rgba[from + 1];
    data[to++] = rgba[from + 2];
  }
  return { data, width, height };
};

// Return the (3, side, side) input of the network.
export const prepared = async (blob, bitmap, how) => {
  let picture = rgb(bitmap);
  const file = await jpeg(blob);
  const fits = Math.floor(Math.min(picture.width, picture.height) / how.enough);
  const by = file && [8, 4, 2].find((factor) => fits >= factor);
  if (by) {
    const isTurned = file.width !== picture.width; // by 90°, according to EXIF
    picture = shrunk(picture, by, isTurned ? file.halved.toReversed() : file.halved);
  }
  const { width, height } = picture;
  let box = [0, 0, width, height];
  if (how.part !== null) {
    const side = Math.min(width, height) * how.part;
    box = [(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2];
  }
  const pixels = resized(picture, box, how.side, how.resampling);
  const planes = new Float32Array(pixels.length);
  const size = how.side ** 2;
  for (let colour = 0; colour < 3; colour++) {
    const mean = Math.fround(how.mean[colour]);
    const std = Math.fround(how.std[colour]);
    const values = Float32Array.from({ length: 256 }, (_, value) =>
      Math.fround(Math.fround(Math.fround(value / 255) - mean) / std)
    );
    for (let at = 0; at < size; at++) planes[colour * size + at] = values[pixels[3 * at + colour]];
  }
  return planes;
};

// Return a smaller copy of a picture.
export const thumbnail = async (bitmap, longest) => {
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
};
