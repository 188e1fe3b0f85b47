"use strict";
/* Tables: a heading sorts, a field filters rows by a word. */
(() => {
  const value = (cell) => {
    if (cell.dataset.value !== undefined) return parseFloat(cell.dataset.value);
    const found = parseFloat(cell.textContent.replace(/,/g, ""));
    return Number.isNaN(found) ? null : found;
  };
  const compare = (column, numbers, sign) => (a, b) => {
    if (!numbers) return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
    const [x, y] = [value(a.cells[column]), value(b.cells[column])];
    if (x === null || y === null) return (x === null) - (y === null); // cells without a number come last
    return sign * (x - y);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = element("button", { type: "button", text: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const rows = [...body.rows];
        const numbers = rows.some((row) => row.cells[column].classList.contains("number"));
        const order = head.getAttribute("aria-sort") === "descending" || (!numbers && !head.hasAttribute("aria-sort"))
          ? "ascending" : "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        body.append(...rows.sort(compare(column, numbers, order === "ascending" ? 1 : -1)));
      });
    });
  }
  for (const field of document.querySelectorAll("[data-filter]")) {
    const table = document.getElementById(field.dataset.filter);
    field.addEventListener("input", () => {
      const word = field.value.toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(word);
    });
  }
})();
