"use strict";
// Nothing is lost without this: tables then keep their order, and the scatter stays flat.
document.documentElement.classList.add("js");

// Tables that sort by the heading that is pressed: numbers by their value, what is missing last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value);
  };
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const sign = heading.ariaSort === "ascending" ? -1 : 1;
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    });
    body.append(...rows.map(([, row]) => row));
  }));
}

// The scatter: dragged or by arrow keys, it turns about its upright and its level axis.
const scatter = document.getElementById("scatter");
if (scatter) {
  const points = JSON.parse(scatter.dataset.xyz);
  const marks = [...scatter.querySelectorAll(":scope > use")];
  let yaw = 0.5, pitch = 0.35, grabbed = null;

  const draw = () => {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    points.forEach(([x, y, z], row) => {
      const across = cy * x + sy * z;
      const away = cy * z - sy * x;
      const up = cp * y - sp * away;
      const near = 1 / (1.1 - 0.3 * (cp * away + sp * y)); // what is near is larger
      marks[row].setAttribute("transform",
        `translate(${(100 * near * across).toFixed(1)} ${(-100 * near * up).toFixed(1)}) scale(${near.toFixed(2)})`);
    });
  };
  const turn = (sideways, upwards) => {
    yaw += sideways;
    pitch = Math.max(-1.5, Math.min(1.5, pitch + upwards));
    draw();
  };
  for (const mark of marks) {
    mark.removeAttribute("x");
    mark.removeAttribute("y");
  }
  scatter.classList.add("turning");
  scatter.addEventListener("pointerdown", (event) => {
    grabbed = [event.clientX, event.clientY];
    scatter.setPointerCapture(event.pointerId);
  });
  scatter.addEventListener("pointermove", (event) => {
    if (!grabbed) return;
    turn((event.clientX - grabbed[0]) / 150, (event.clientY - grabbed[1]) / 150);
    grabbed = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) {
    scatter.addEventListener(end, () => { grabbed = null; });
  }
  const keys = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
  scatter.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    turn(...keys[event.key]);
  });
  draw();

  // A class that is pressed stands out; pressed again, all do.
  const buttons = [...document.querySelectorAll(".legend button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const only = button.getAttribute("aria-pressed") === "true" ? null : button.dataset.group;
      buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.group === only)));
      marks.forEach((mark) => mark.classList.toggle("dim", only !== null && mark.dataset.group !== only));
    });
  }
}

// On paper, nothing is folded away.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
});
