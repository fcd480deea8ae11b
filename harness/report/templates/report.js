"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  /** Make an element; text goes in as text, whatever it holds. */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== undefined && child !== null));
    return element;
  }

  const text = (place) => (place === undefined || place === null ? "" : data.texts[place]);

  // --- filters ---------------------------------------------------------------------------

  const form = byId("filters");
  const cells = [...document.querySelectorAll("td:has(> button[data-cell])")];

  function filter() {
    const [kernel, image, wanted] = ["by-kernel", "by-image", "by-class"].map((id) => byId(id).value);
    const [attribute, value] = wanted.split(/:(.*)/s);
    const elsewhere = (column) => kernel !== "" && Number(kernel) !== column;
    let shown = 0;
    [...document.querySelector(".matrix thead tr").cells].slice(1).forEach((cell, column) => {
      cell.hidden = elsewhere(column);
    });
    for (const row of document.querySelectorAll(".matrix tbody tr:not(.image)")) {
      let matching = 0;
      [...row.cells].slice(1).forEach((cell, column) => {
        const fits = !wanted || cell.dataset[attribute] === value;
        cell.hidden = elsewhere(column);
        cell.classList.toggle("faded", !fits);
        matching += fits && !cell.hidden && cell.dataset.kind ? 1 : 0;
      });
      row.hidden = !matching || (image !== "" && row.parentElement.dataset.image !== image);
      shown += row.hidden ? 0 : matching;
    }
    for (const group of document.querySelectorAll(".matrix tbody")) {
      group.hidden = [...group.rows].slice(1).every((row) => row.hidden);
    }
    byId("shown").textContent = `${shown} of ${cells.length} cells shown`;
  }

  if (form) {
    byId("unscripted").remove();
    form.hidden = false;
    form.addEventListener("change", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  // --- moving in the matrix --------------------------------------------------------------

  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  /** Return the nearest shown cell's button in a direction, or null. */
  function next(from, [down, right]) {
    const rows = [...document.querySelectorAll(".matrix tbody tr:not(.image, [hidden])")];
    let row = rows.indexOf(from.closest("tr")) + down;
    let column = from.parentElement.cellIndex + right;
    for (; rows[row]?.cells[column]; row += down, column += right) {
      const button = rows[row].cells[column].querySelector("button");
      if (button?.checkVisibility({ visibilityProperty: true })) return button;
    }
    return null;
  }

  for (const cell of cells) {
    const button = cell.firstElementChild;
    const words = button.cloneNode(true);
    words.querySelectorAll(".on, [aria-hidden]").forEach((part) => part.remove());
    const said = words.textContent.replace(/\s+/g, " ").trim();
    button.setAttribute("aria-label", `${said}: ${data.cells[button.dataset.cell].title}`);
  }

  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.(".matrix td > button");
    if (!button || !(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    next(button, STEPS[event.key])?.focus();
  });

  // --- the drawer ------------------------------------------------------------------------

  const drawer = byId("drawer");

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-cell]");
    if (button) open(data.cells[button.dataset.cell]);
    if (event.target === drawer) drawer.close();
  });
  byId("close").addEventListener("click", () => drawer.close());

  function open(cell) {
    byId("drawer-title").textContent = cell.title;
    byId("drawer-body").replaceChildren(
      make("p", {}, chip(cell.tone, cell.symbol, cell.outcome)),
      ...paragraphs([cell.reason, cell.why]),
      ...cases(cell.cases || []),
      ...finding(cell.finding),
      ...steps(cell.steps || []),
      ...calls(cell.calls),
      ...ends(cell.ends),
      ...lines("New kernel messages", cell.messages),
      ...lines("The guest's console said last", cell.console),
      ...lines("Not recorded", cell.notes),
      ...environment(cell.environment),
      ...files(cell),
    );
    drawer.showModal();
    byId("drawer-body").scrollTop = 0;
  }

  const chip = (tone, symbol, words) =>
    make("span", { class: `chip ${tone}` }, make("span", { "aria-hidden": "true" }, symbol), ` ${words}`);

  const heading = (words) => make("h3", {}, words);

  const paragraphs = (places) => (places || []).filter((place) => text(place)).map((place) => make("p", {}, text(place)));

  function cases(found) {
    const pages = ([name, ...places]) =>
      places.map((place) => make("li", {}, `${name}: `, make("a", { href: place, rel: "noreferrer" }, place)));
    const links = found.flatMap(pages);
    return links.length ? [heading("Known cases"), make("ul", {}, ...links)] : [];
  }

  const block = (words) => make("pre", { tabindex: "0" }, words);

  function lines(title, place) {
    return text(place) ? [heading(title), block(text(place))] : [];
  }

  function table(head, rows, more) {
    const made = make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value) => make("td", {}, value))))),
    );
    const rest = more ? [make("p", { class: "facts" }, `${more} more are in the cell's file`)] : [];
    return [make("div", { class: "wide", tabindex: "0", role: "group", "aria-label": head.join(", ") }, made), ...rest];
  }

  function steps(all) {
    return all.flatMap((step, number) => [
      heading(`Step ${number + 1} of ${all.length}${step.name ? `: ${step.name}` : ""}`),
      block(text(step.command)),
      make("p", {}, [step.ending, step.memory].filter(Boolean).join("; ")),
      step.unmet ? make("ul", { class: "unmet" }, ...step.unmet.map((place) => make("li", {}, text(place)))) : null,
      ...output("stdout", text(step.stdout), step.stdout_dropped),
      ...output("stderr", text(step.stderr), step.stderr_dropped),
    ]).filter(Boolean);
  }

  function output(name, words, dropped) {
    if (!words && !dropped) return [];
    const lost = dropped ? ` (${dropped} bytes more were not kept)` : "";
    return [make("h4", {}, `${name}${lost}`), block(words)];
  }

  function calls(found) {
    if (!found) return [];
    const rows = found.rows.map(([place, count, where, coped]) => {
      const [call, errno, program, said] = data.calls[place];
      const result = errno === "ENOSYS" ? chip("enosys", "▼", errno) : errno;
      return [call, result, program, String(count), where, [said, coped].filter(Boolean).join("; ")];
    });
    return [
      heading("System calls that failed"),
      ...table(["system call", "result", "program", "times", "in steps", "remark"], rows, found.more),
    ];
  }

  function ends(found) {
    if (!found) return [];
    const rows = found.rows.map((row) => row.map(String));
    return [
      heading("Processes that failed, the first to fail first"),
      ...table(["program", "pid", "how it ended", "last failing call"], rows, found.more),
    ];
  }

  function environment(place) {
    if (place === undefined) return [];
    const facts = Object.entries(data.environments[place]);
    const list = facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
    return [heading("Ran on"), make("dl", {}, ...list)];
  }

  function files(cell) {
    const links = [cell.file, cell.log].filter(Boolean).map((file) => make("li", {}, make("a", { href: file }, file)));
    return [heading("Files beside this page"), make("ul", {}, ...links)];
  }

  // --- against the baseline --------------------------------------------------------------

  function finding(found) {
    if (!found) return [];
    return [
      heading(`Compared with ${found.before}`),
      make("p", {}, chip(found.tone, found.symbol, found.kind)),
      ...paragraphs(found.evidence),
      ...paragraphs(found.said),
      ...differences("", found, found.differences),
      ...differences("Known differences", found, found.known),
      ...differences("Noise: differs between runs of one side, too", found, found.noise),
    ];
  }

  function differences(title, found, all) {
    if (!all) return [];
    const plain = all.rows.filter((one) => !one.lines);
    const rows = plain.map((one) => [one.what + (one.known ? `; known: ${one.known}` : ""), text(one.before), text(one.after)]);
    return [
      title ? make("h4", {}, title) : null,
      ...(rows.length || all.more ? table(["what", found.before, found.after], rows, all.more) : []),
      ...all.rows.filter((one) => one.lines).flatMap((one) => sides(one, found)),
    ].filter(Boolean);
  }

  function sides(one, found) {
    const rows = one.lines.map(([left, right]) => {
      if (left === null && right === null) return make("tr", { class: "gap" }, make("td", { colspan: "2" }, "⋯"));
      const same = left === right;
      return make("tr", {}, side("−", left, same, "gone"), side("+", right, same, "new"));
    });
    const head = [found.before, found.after].map((words) => make("th", { scope: "col" }, words));
    return [
      make("h4", {}, one.what + (one.known ? `; known: ${one.known}` : "")),
      make(
        "div",
        { class: "wide", tabindex: "0", role: "group", "aria-label": `${one.what}, side by side` },
        make("table", { class: "diff" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
      ),
    ];
  }

  function side(sign, place, same, kind) {
    if (place === null) return make("td", { class: "absent" });
    return make("td", { class: same ? "" : kind }, make("code", {}, `${same ? " " : sign} ${text(place)}`));
  }
})();
