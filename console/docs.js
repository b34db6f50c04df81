// Lists what openapi.json says: method, path, summary, parameters.
const document_ = await (await fetch('/openapi.json')).json();
const rows = Object.entries(document_.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { summary, parameters = [] }]) => {
    const row = document.createElement('tr');
    for (const text of [method.toUpperCase(), path, summary ?? '', parameters.map((one) => one.name).join(', ')]) {
      const cell = document.createElement('td');
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }),
);
document.getElementById('routes').append(...rows);
