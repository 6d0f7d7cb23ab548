// What a scripted agent is told, and what it saw: the same as script.py and wire_log.py beside this folder.

import { appendFileSync } from "node:fs";

export const DELEGATION = "urn:bailiwick:ext:delegation:v1";

/** The script, or one that echoes the text. */
export function readScript(text) {
  try {
    const script = JSON.parse(text);
    if (script !== null && typeof script === "object" && !Array.isArray(script)) return script;
  } catch {
    // No JSON: the text is echoed.
  }
  return { chunks: [text] };
}

/** Appends one JSON object a line, at once. */
export class WireLog {
  constructor(path) {
    this.path = path;
  }

  write(what, facts) {
    if (!this.path) return;
    const line = { what, at: Date.now() / 1000, mono: performance.now() / 1000, ...facts };
    appendFileSync(this.path, JSON.stringify(line) + "\n");
  }
}

/** A part of text. */
export function textPart(value) {
  return { content: { $case: "text", value }, metadata: undefined, filename: "", mediaType: "text/plain" };
}

/** The text of parts. */
export function textOf(parts) {
  return parts.map((part) => (part.content?.$case === "text" ? part.content.value : "")).join("");
}
