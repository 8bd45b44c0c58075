"use strict";
// Optional: without scripts, tables keep their order and the scatter plot is two-dimensional.
document.documentElement.classList.add("js");

// Sort a table by the clicked heading: numbers by value, missing values last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const sortKey = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value);
  };
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const sign = heading.ariaSort === "ascending" ? -1 : 1;
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [sortKey(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    });
    body.append(...rows.map(([, row]) => row));
  }));
}

// Rotate the scatter plot about its vertical and horizontal axes, by dragging or arrow keys.
const scatter = document.getElementById("scatter");
if (scatter) {
  const points = JSON.parse(scatter.dataset.xyz);
  const marks = [...scatter.querySelectorAll(":scope > use")];
  let yaw = 0.5, pitch = 0.35, pointerPosition = null;

  const draw = () => {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    points.forEach(([x, y, z], row) => {
      const right = cy * x + sy * z;
      const depth = cy * z - sy * x;
      const up = cp * y - sp * depth;
      const scale = 1 / (1.1 - 0.3 * (cp * depth + sp * y)); // perspective: near points are larger
      marks[row].setAttribute("transform",
        `translate(${(100 * scale * right).toFixed(1)} ${(-100 * scale * up).toFixed(1)}) scale(${scale.toFixed(2)})`);
    });
  };
  const rotate = (sideways, upwards) => {
    yaw += sideways;
    pitch = Math.max(-1.5, Math.min(1.5, pitch + upwards));
    draw();
  };
  for (const mark of marks) {
    mark.removeAttribute("x");
    mark.removeAttribute("y");
  }
  scatter.classList.add("rotatable");
  scatter.addEventListener("pointerdown", (event) => {
    pointerPosition = [event.clientX, event.clientY];
    scatter.setPointerCapture(event.pointerId);
  });
  scatter.addEventListener("pointermove", (event) => {
    if (!pointerPosition) return;
    rotate((event.clientX - pointerPosition[0]) / 150, (event.clientY - pointerPosition[1]) / 150);
    pointerPosition = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) {
    scatter.addEventListener(end, () => { pointerPosition = null; });
  }
  const keys = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
  scatter.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    rotate(...keys[event.key]);
  });
  draw();

  // Highlight the clicked class; a second click removes the highlight.
  const buttons = [...document.querySelectorAll(".legend button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const selected = button.getAttribute("aria-pressed") === "true" ? null : button.dataset.group;
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other.dataset.group === selected)));
      marks.forEach((mark) => mark.classList.toggle("dim", selected !== null && mark.dataset.group !== selected));
    });
  }
}

// Print all details, including closed ones.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
});
