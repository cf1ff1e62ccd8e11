// Decodes pictures, and prepares them as Pillow does, to the last bit.
const FILTERS = {
  bilinear: { support: 1, at: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: {
    support: 2,
    at: (given) => {
      const x = Math.abs(given);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};
const BITS = 22;
const HALF = 1 << (BITS - 1);
const MAX_PIXELS = 89_000_000;
const MAX_BYTES = 64 * 2 ** 20;

// Weights of the pixels between `first` and `last` of a line for each of `out` pixels.
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

// Resizes the part `box` of RGB pixels to a square: rows first, then columns.
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

// Averages squares of pixels, as Python's decoder of JPEG does with large photographs.
const shrunk = ({ data, width, height }, by) => {
  const across = Math.ceil(width / by);
  const down = Math.ceil(height / by);
  const small = new Uint8Array(across * down * 3);
  for (let y = 0, at = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      for (let colour = 0; colour < 3; colour++) {
        let sum = 0;
        for (let row = 0; row < by; row++) {
          const line = Math.min(y * by + row, height - 1) * width;
          for (let column = 0; column < by; column++) {
            sum += data[3 * (line + Math.min(x * by + column, width - 1)) + colour];
          }
        }
        const exact = sum / by ** 2;
        const up = Math.round(exact);
        small[at++] = up - exact === 0.5 && up % 2 ? up - 1 : up; // halves to even: no bias
      }
    }
  }
  return { data: small, width: across, height: down };
};

const isJpeg = async (blob) => {
  const head = new Uint8Array(await blob.slice(0, 3).arrayBuffer());
  return head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff;
};

// A picture upright, without colour management, over white.
export const bitmapOf = async (blob) => {
  if (blob.size > MAX_BYTES) throw new Error("This picture has more than 64 MB");
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

// The (3, side, side) input of the network.
export const prepared = async (blob, bitmap, how) => {
  let picture = rgb(bitmap);
  if (await isJpeg(blob)) {
    const fits = Math.floor(Math.min(picture.width, picture.height) / how.enough);
    const by = [8, 4, 2].find((factor) => fits >= factor);
    if (by) picture = shrunk(picture, by);
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

// A smaller copy of a picture, to show and to keep.
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
