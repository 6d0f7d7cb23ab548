// Builds elements. Text becomes text nodes and nothing else, so that what agents and callers say is never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** An element: h("p", { class: "x" }, "text", other). */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** The same in a drawing. */
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Replaces what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** The same, where what was unfolded stays so and the focus stays where it was. */
export function refresh(element, ...children) {
  const unfolded = new Set([...element.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
  const focused = element.contains(document.activeElement) ? document.activeElement.textContent : null;
  put(element, children);
  for (const summary of element.querySelectorAll("summary")) if (unfolded.has(summary.textContent)) summary.parentElement.open = true;
  if (focused === null) return;
  const same = [...element.querySelectorAll("a, button, summary")].find((one) => one.textContent === focused);
  same?.focus({ preventScroll: true });
}

/** Says something to whoever does not see the page. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  if (announcer.textContent !== text) announcer.textContent = text;
}

// What somebody is pressing on stays until it is let go, or the press would come to nothing.
const PRESSABLE = "a, button, summary, [data-task], [data-bundle]";
const LONGEST_PRESS_MS = 2_000;
let pressedAt = 0;
const isPressed = () => pressedAt > 0 && performance.now() - pressedAt < LONGEST_PRESS_MS;
document.addEventListener("pointerdown", (event) => { if (event.target.closest?.(PRESSABLE)) pressedAt = performance.now(); }, true);
// A click follows at once; what it leads to may draw again.
for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, () => setTimeout(() => { pressedAt = 0; }), true);

/** Calls something once per frame at most, however often it is asked for, and not under somebody's finger. */
export function onceAFrame(draw) {
  let asked = false;
  const frame = () => {
    if (isPressed()) {
      requestAnimationFrame(frame);
      return;
    }
    asked = false;
    draw();
  };
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(frame);
  };
}
