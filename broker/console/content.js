// What agents and callers made, shown without being believed: text as text, JSON indented, pictures from their own bytes
// and from nowhere else. No markup of theirs becomes markup here, and no address of theirs is visited.

import { h } from "./dom.js";
import { count } from "./format.js";

const MOST_CHARS = 20_000;
const MOST_PICTURE_BYTES = 8 * 1024 * 1024;
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/svg+xml"]);

/** The parts of a message or an artifact. */
export function content(parts) {
  return h("div", { class: "content" }, (parts ?? []).map(part));
}

function part(one) {
  if (typeof one.text === "string") return looksLikeJson(one) ? json(one.text) : text(one.text, "text");
  if (one.data !== undefined) return text(JSON.stringify(one.data, null, 2), "code");
  if (typeof one.raw === "string") return raw(one);
  if (typeof one.url === "string") return h("p", { class: "file" }, "A file at ", h("code", {}, one.url), one.mediaType && ` (${one.mediaType})`);
  return h("p", { class: "muted" }, "a part of a kind that is not known here");
}

const looksLikeJson = (one) => one.mediaType === "application/json" || /^\s*[[{]/.test(one.text);

function json(source) {
  try {
    return text(JSON.stringify(JSON.parse(source), null, 2), "code");
  } catch {
    return text(source, "text");
  }
}

function text(all, kind) {
  const body = h("pre", { class: `said ${kind}`, tabindex: "0" }, all.slice(0, MOST_CHARS));
  if (all.length <= MOST_CHARS) return body;
  const button = h("button", { type: "button", class: "button quiet", onclick: () => {
    body.textContent = all;
    button.remove();
  } }, `Show all ${count(all.length, "character")}`);
  return h("div", {}, body, button);
}

function raw({ raw: encoded, mediaType = "application/octet-stream", filename }) {
  const size = Math.floor((encoded.length * 3) / 4);
  const name = filename ? `${filename}, ` : "";
  const note = h("p", { class: "file muted" }, `${name}${mediaType}, ${count(size, "byte")}`);
  if (!PICTURES.has(mediaType) || size > MOST_PICTURE_BYTES) return note;
  const picture = h("img", { class: "picture", alt: filename ?? `a picture, ${mediaType}`, src: `data:${mediaType};base64,${encoded}` });
  picture.addEventListener("error", () => picture.remove());
  return h("figure", {}, picture, h("figcaption", { class: "muted" }, note.textContent));
}
