// Where every clip is on the sheet: pure, from the rows that pass the filters and the two axes.
//
// The sheet is made of lines of equal height. A line belongs to one row of the axes; a row has as many lines
// as its fullest place needs. Without a column axis clips flow, `perLine` of them to a line.

function arrange(table, clips, rows, across, perLine) {
  const down = keysOf(table, clips, rows);
  const over = keysOf(table, clips, across);
  const cells = down.keys.map(() => over.keys.map(() => []));
  for (const clip of clips) {
    const row = rows ? table.code(rows, clip) : 0;
    const column = across ? table.code(across, clip) : 0;
    cells[down.place.get(row)][over.place.get(column)].push(clip);
  }
  const width = across ? 1 : perLine;
  const lines = [];
  const firstLine = [];
  cells.forEach((row, at) => {
    firstLine.push(lines.length);
    const most = Math.max(1, ...row.map((cell) => cell.length));
    for (let offset = 0; offset < most; offset += width) lines.push({ row: at, offset, isFirst: offset === 0 });
  });
  return { rows, across, down: down.keys, over: over.keys, cells, lines, firstLine, width };
}

// The codes of an axis that occur, in order; those without a value last.
function keysOf(table, clips, axis) {
  if (!axis) return { keys: [0], place: new Map([[0, 0]]) };
  const found = new Set();
  for (const clip of clips) found.add(table.code(axis, clip));
  const keys = [...found].sort((a, b) => (a < 0) - (b < 0) || a - b);
  return { keys, place: new Map(keys.map((key, at) => [key, at])) };
}

// The clip at a line and a position in it; undefined where the plan has none.
function clipAt(places, line, position) {
  const { row, offset } = places.lines[line];
  return places.across ? places.cells[row][position][offset] : places.cells[row][0][offset + position];
}

function numPositions(places) {
  return places.across ? places.over.length : places.width;
}

// Line and position of a clip; null when a filter hides it.
function placeOf(places, table, clip) {
  for (let row = 0; row < places.cells.length; row++) {
    if (places.rows && places.down[row] !== table.code(places.rows, clip)) continue;
    for (let column = 0; column < places.cells[row].length; column++) {
      const at = places.cells[row][column].indexOf(clip);
      if (at < 0) continue;
      const line = places.firstLine[row] + Math.floor(at / places.width);
      return { line, position: places.across ? column : at % places.width };
    }
  }
  return null;
}
