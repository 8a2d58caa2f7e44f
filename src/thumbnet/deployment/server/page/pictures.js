// Files to pixels and back, with nothing but what the browser has.

import { Problem } from "./server.js";

const CANNOT = "This file cannot be read as a picture. Try a JPEG, PNG or WebP file.";

/** A picture's size in pixels, upright; reads only the head of the file for that. */
export async function measure(file) {
  const url = URL.createObjectURL(file);
  const probe = Object.assign(new Image(), { src: url });
  try {
    await new Promise((good, bad) => Object.assign(probe, { onload: good, onerror: bad }));
    if (!probe.naturalWidth) throw new Error("no size");
    return { width: probe.naturalWidth, height: probe.naturalHeight };
  } catch {
    throw new Problem(CANNOT);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** A picture's pixels: upright, in sRGB, `rgb` row by row; `hidden` says what was under transparency. */
export async function decode(file) {
  const options = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "default" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, options);
  } catch {
    throw new Problem(CANNOT);
  }
  try {
    const { width, height } = bitmap;
    let rgba = throughCanvas(bitmap);
    let hidden = "opaque";
    if (hasTransparency(rgba)) {
      const exact = throughTexture(bitmap);
      hidden = exact ? "kept" : "lost";
      rgba = exact ?? rgba;
    }
    return { width, height, hidden, rgb: withoutAlpha(rgba) };
  } finally {
    bitmap.close();
  }
}

/** Pixels `rgb` of a square as a PNG file; opaque, so it holds exactly these levels. */
export async function asPng(rgb, side) {
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  const pixels = context.createImageData(side, side);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    pixels.data[to] = rgb[from];
    pixels.data[to + 1] = rgb[from + 1];
    pixels.data[to + 2] = rgb[from + 2];
    pixels.data[to + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Puts a file into an image that is on the page. */
export function showFile(file, image) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
}

function throughCanvas(bitmap) {
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

// A canvas multiplies colours by their alpha and forgets what was under full transparency. A texture does not, but not
// every browser has one of every size: then null.
function throughTexture(bitmap) {
  const { width, height } = bitmap;
  const gl = document.createElement("canvas").getContext("webgl");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  const texture = gl.getParameter(gl.TEXTURE_BINDING_2D);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const rgba = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  const failed = gl.getError() !== gl.NO_ERROR;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : rgba;
}

function hasTransparency(rgba) {
  for (let place = 3; place < rgba.length; place += 4) if (rgba[place] !== 255) return true;
  return false;
}

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}
