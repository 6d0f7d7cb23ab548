// Where the boxes of a drawing go. Of many siblings only some are drawn, those first that need somebody; the others are
// one box together, so that a drawing stays as large as people can look at, however large its tree.

const MOST_BOXES = 200;
const SIBLINGS = 8;
export const MORE_SIBLINGS = 24;

export const BOX = { width: 216, height: 64, gapX: 44, gapY: 14, bundleHeight: 40 };

// Who needs somebody comes first.
const URGENCY = {
  TASK_STATE_AUTH_REQUIRED: 0, TASK_STATE_INPUT_REQUIRED: 0, TASK_STATE_FAILED: 1, TASK_STATE_REJECTED: 1,
  TASK_STATE_WORKING: 2, TASK_STATE_SUBMITTED: 3,
};

/** Boxes and lines: {boxes: [{id|bundle, x, y, …}], lines, width, height}. `wider`: how many more siblings, by parent. */
export function layOut(forest, selected, wider) {
  const onPath = new Set(forest.path(selected).map((task) => task.task));
  const drawn = choose(forest, onPath, wider);
  const boxes = [];
  const lines = [];
  let bottom = 0;
  let right = 0;

  function place(id, depth) {
    const x = depth * (BOX.width + BOX.gapX);
    const { shown, hidden } = drawn.get(id) ?? { shown: [], hidden: forest.children(id) };
    const middles = shown.map((child) => place(child, depth + 1));
    if (hidden.length) {
      const bundle = { bundle: id, ids: hidden, x: x + BOX.width + BOX.gapX, y: bottom };
      boxes.push(bundle);
      right = Math.max(right, bundle.x + BOX.width);
      middles.push({ x: bundle.x, y: bottom + BOX.bundleHeight / 2 });
      bottom += BOX.bundleHeight + BOX.gapY;
    }
    let y = bottom;
    if (middles.length) {
      y = (middles[0].y + middles[middles.length - 1].y) / 2 - BOX.height / 2;
      bottom = Math.max(bottom, y + BOX.height + BOX.gapY);
    } else {
      bottom += BOX.height + BOX.gapY;
    }
    boxes.push({ id, x, y: Math.max(0, y) });
    right = Math.max(right, x + BOX.width);
    const middle = { x, y: Math.max(0, y) + BOX.height / 2 };
    for (const child of middles) lines.push({ from: { x: x + BOX.width, y: middle.y }, to: child });
    return middle;
  }

  if (forest.top !== null) place(forest.top, 0);
  return { boxes, lines, width: right, height: Math.max(BOX.height, bottom - BOX.gapY) };
}

/** Level by level, until there are enough. */
function choose(forest, onPath, wider) {
  const drawn = new Map();
  let boxes = 1;
  let level = forest.top === null ? [] : [forest.top];
  while (level.length) {
    const next = [];
    for (const id of level) {
      const below = forest.children(id);
      if (!below.length || forest.folded.has(id)) continue;
      const room = Math.max(0, Math.min(SIBLINGS + (wider.get(id) ?? 0), MOST_BOXES + (wider.get(id) ?? 0) - boxes));
      const shown = below.length <= room + 1 && room > 0 ? below : few(forest, below, room, onPath);
      const isShown = new Set(shown);
      drawn.set(id, { shown, hidden: below.filter((child) => !isShown.has(child)) });
      boxes += shown.length + 1;
      next.push(...shown);
    }
    level = next;
  }
  return drawn;
}

function few(forest, below, room, onPath) {
  const urgency = (id) => (onPath.has(id) ? -1 : URGENCY[forest.tasks.get(id).state] ?? 4);
  const order = new Map(below.map((id, index) => [id, index]));
  const chosen = [...below].sort((a, b) => urgency(a) - urgency(b) || order.get(a) - order.get(b)).slice(0, room);
  for (const id of below) if (onPath.has(id) && !chosen.includes(id)) chosen.push(id);
  return chosen.sort((a, b) => order.get(a) - order.get(b));
}
