// Builds ../assets/report.js and report.css from src: `npm run build`. With
// --check it writes nothing and fails where they differ from what is there.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const contained = (name) => {
  const { version } = JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), 'utf8'))
  return `This file contains ${name} ${version}:\n\n${readFileSync(here(`node_modules/${name}/LICENSE`), 'utf8').trim()}`
}
const licences = (...names) => `/*!\nnarrow's report. Apache-2.0.\n\n${names.map(contained).join('\n\n')}\n*/`

const result = await build({
  entryPoints: { report: here('src/main.ts') },
  outdir: here('../assets'),
  bundle: true,
  format: 'iife',
  target: ['es2022'],
  minify: true,
  charset: 'utf8',
  legalComments: 'none', // the banner holds the whole licence
  banner: { js: licences('uplot', '@dagrejs/dagre', '@dagrejs/graphlib'), css: licences('uplot') },
  write: false,
})

let stale = false
for (const file of result.outputFiles) {
  if (file.text.includes('</script') || file.text.includes('</style')) throw new Error(`${file.path} cannot stand inside HTML`)
  if (!process.argv.includes('--check')) {
    writeFileSync(file.path, file.contents)
    console.log(`${file.path.split('/').pop()}: ${file.contents.length} bytes`)
  } else if (!Buffer.from(file.contents).equals(readFileSync(file.path))) {
    console.error(`${file.path} is not what src builds: run make report-web`)
    stale = true
  }
}
process.exit(stale ? 1 : 0)
