// Draws the figures, sorts the tables, copies and saves. All data stands in the page.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg" },
  };

  // Plotly reads tags in labels; a name is only a name.
  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function draw(id, spec) {
    const options = { ...config, toImageButtonOptions: { format: "svg", filename: id } };
    return Plotly.react(document.getElementById(id), spec.data, spec.layout, options);
  }

  // --- tables -------------------------------------------------------------------------------

  function sortBy(header) {
    const table = header.closest("table");
    const body = table.tBodies[0];
    const index = header.cellIndex;
    const down = header.getAttribute("aria-sort") === "ascending";
    const numeric = header.classList.contains("number");
    const value = (row) => row.cells[index].dataset.value;
    const rows = [...body.rows];
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stands last
      const order = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
      return down ? -order : order;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }

  for (const button of document.querySelectorAll("button.sort"))
    button.addEventListener("click", () => sortBy(button.closest("th")));

  // --- copying and saving -------------------------------------------------------------------

  async function copy(button) {
    const source = document.getElementById(button.dataset.from);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      // A page from a file may not reach the clipboard: leave the text selected instead.
      getSelection().selectAllChildren(source);
      button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  for (const button of document.querySelectorAll("button.copy"))
    button.addEventListener("click", () => copy(button));

  function save(name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([page.csv[name]], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  for (const button of document.querySelectorAll("button.csv"))
    button.addEventListener("click", () => save(button.dataset.csv));

  // --- free scatter plots -------------------------------------------------------------------

  const colours = { best: "#0072B2", knee: "#0072B2", balanced: "#E69F00", default: "#000000" };
  const special = (role) => ["best", "knee", "default", "balanced"].find((r) => role.includes(r));

  // 1, 2, 5, 10, ...: plotly's own marks leave out the zeros.
  function logTicks(values) {
    const finite = values.filter((v) => v !== null);
    const [low, high] = [Math.min(...finite), Math.max(...finite)].map(Math.log10);
    const digits = high - low > 3 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(low) - 1; power <= Math.ceil(high); power += 1)
      for (const digit of digits) ticks.push(digit * 10 ** power);
    const margin = 0.05 * (high - low || 1);
    return {
      tickvals: ticks, ticktext: ticks.map((v) => Number(v.toPrecision(6)).toString()),
      range: [low - margin, high + margin],
    };
  }

  function axis(column) {
    return {
      title: { text: plain(column.title), font: { size: 12 } },
      type: column.category ? "category" : column.log ? "log" : "linear",
      automargin: true, gridcolor: "#e5e5e5", linecolor: "#999", ticks: "outside", ticklen: 3,
      tickcolor: "#999", zeroline: false,
      ...(column.log ? logTicks(column.values) : {}),
    };
  }

  function group(data, x, y, keep, style) {
    const at = data.labels.map((_, i) => i)
      .filter((i) => keep(i) && x.values[i] !== null && y.values[i] !== null);
    return {
      type: "scatter", mode: style.mode ?? "markers", ...style,
      x: at.map((i) => x.values[i]), y: at.map((i) => y.values[i]),
      customdata: at.map((i) => plain(data.names[i])),
      hovertemplate: "%{customdata}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
    };
  }

  function scatter(data, xName, yName, front) {
    const [x, y] = [data.columns[xName], data.columns[yName]];
    const ranked = (i) => data.ranked[i];
    const traces = [
      group(data, x, y, (i) => !ranked(i), {
        name: "not ranked", marker: { size: 8, color: "white", line: { color: "#999", width: 1.3 } },
      }),
      group(data, x, y, (i) => ranked(i) && !special(data.roles[i]), {
        name: "ranked", marker: { size: 9, color: "#56B4E9", line: { color: "#1c5f85", width: 0.8 } },
      }),
    ];
    const symbols = { default: "square", balanced: "triangle-up", best: "star", knee: "star" };
    for (const [role, symbol] of Object.entries(symbols))
      traces.push(group(data, x, y, (i) => ranked(i) && special(data.roles[i]) === role, {
        name: role,
        marker: { size: symbol === "star" ? 15 : 11, symbol, color: colours[role],
                  line: { color: "white", width: 1 } },
      }));
    if (front) {
      traces.unshift({
        type: "scatter", mode: "lines", name: "no other is better in both", hoverinfo: "skip",
        x: front.front.map((i) => x.values[i]), y: front.front.map((i) => y.values[i]),
        line: { color: "#009E73", width: 2 },
      });
      if (front.knee !== null)
        traces.push({
          ...group(data, x, y, (i) => i === front.knee, {
            name: `knee: ${plain(data.names[front.knee])}`,
            marker: { size: 20, symbol: "diamond-open", color: "#D55E00", line: { width: 2.5 } },
          }),
          hoverinfo: "skip", hovertemplate: null,
        });
    }
    return {
      data: traces.filter((trace) => trace.x.length),
      layout: {
        height: 460, autosize: true, font: page.font, showlegend: true, hovermode: "closest",
        margin: { l: 10, r: 16, t: 10, b: 10 },
        legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
        xaxis: axis(x), yaxis: axis(y),
      },
    };
  }

  function fill(select, data, names, chosen) {
    for (const name of names) select.add(new Option(data.columns[name].title, name));
    select.value = chosen;
  }

  // A live page loads again and keeps its choices; storage is not there in every kind of page.
  function remember(key, value) {
    try { sessionStorage.setItem(key, value); } catch { /* then it forgets */ }
  }

  function remembered(key) {
    try { return sessionStorage.getItem(key); } catch { return null; }
  }

  function explore(figure) {
    const { study, kind } = figure.dataset;
    const data = page.studies[study].explorer;
    const [xSelect, ySelect] = [figure.querySelector("select.x"), figure.querySelector("select.y")];
    const free = kind === "scatter";
    const kept = remembered(`${study}-${kind}`);
    let [x, y] = free ? data.scatter : data.pareto;
    if (kept) {
      const names = kept.split("|");
      if (names.every((name) => name in data.columns)) [x, y] = names;
    }
    fill(xSelect, data, free ? [...data.weights, ...data.metrics] : data.metrics, x);
    fill(ySelect, data, data.metrics, y);
    const show = () => {
      const [one, other] = [xSelect.value, ySelect.value];
      remember(`${study}-${kind}`, `${one}|${other}`);
      const front = free ? null : data.fronts[`${one}|${other}`] ?? data.fronts[`${other}|${one}`];
      return draw(`${study}-${kind}`, scatter(data, one, other, front));
    };
    xSelect.addEventListener("change", show);
    ySelect.addEventListener("change", show);
    return show();
  }

  // --- everything ---------------------------------------------------------------------------

  page.font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: "#222" };
  for (const study of Object.values(page.studies))
    for (const [id, spec] of Object.entries(study.figures)) draw(id, spec);
  for (const [id, spec] of Object.entries(page.figures)) draw(id, spec);
  for (const figure of document.querySelectorAll("figure.explorer")) explore(figure);
  addEventListener("beforeprint", () => {
    for (const plot of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(plot);
  });
})();
