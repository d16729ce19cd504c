// Clicks through the pages in a real, headless Chromium:
//
//   node test/browser.mjs FOLDER [--screenshot FOLDER-OF-PICTURES]
//
// FOLDER holds generated.html, large.html, comparison.html and search.html (go test ./report
// -run TestPages -pages FOLDER) and, of the bundled network, real.html, a report
// of a calibration by test/strategy.json, real-comparison.html and
// real-search.html: see make test-report.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const folder = process.argv[2]
const picture = process.argv[3] === '--screenshot' ? resolve(root, process.argv[4]) : null
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
if (!existsSync(executablePath)) {
  console.error(`${executablePath} is missing: apt-get install chromium, or set CHROMIUM`)
  process.exit(1)
}
const profile = mkdtempSync(join(tmpdir(), 'narrow-report-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

/** open shows a page and collects what goes wrong on it. */
async function open(name, { width = 1280, height = 900, dark = false } = {}) {
  const page = await browser.newPage()
  await page.setViewportSize({ width, height })
  await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' })
  page.troubles = []
  // Reading canvases back is what this test does, not the page.
  page.on('console', (m) => { if (!m.text().includes('willReadFrequently')) page.troubles.push(`${m.type()}: ${m.text()}`) })
  page.on('pageerror', (e) => page.troubles.push(`error: ${e.message}`))
  page.on('request', (r) => { if (!r.url().startsWith('file:')) page.troubles.push(`request: ${r.url()}`) })
  await page.goto(pathToFileURL(resolve(folder, name)).href)
  return page
}

async function close(page) {
  assert.deepEqual(page.troubles, [], 'console messages, errors or requests')
  await page.close()
}

/** settle waits for what the page does in its next frames. */
const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
const texts = (page, selector) => page.locator(selector).allTextContents()
const rows = (page) => page.locator('.rows .row').evaluateAll((all) => all.map((e) => ({ layer: Number(e.dataset.layer), top: e.offsetTop })).sort((a, b) => a.top - b.top).map((e) => e.layer))
const chosen = (page) => page.locator('.detail h3').textContent()
const data = (page) => page.evaluate(() => JSON.parse(document.getElementById('document').textContent))

/** pixels counts the colours of a canvas, as '#rrggbb' by how often. */
const pixels = (page, selector) => page.locator(`${selector} canvas`).first().evaluate((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const seen = {}
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255) continue
    const c = `#${[0, 1, 2].map((j) => data[i + j].toString(16).padStart(2, '0')).join('')}`
    seen[c] = (seen[c] ?? 0) + 1
  }
  return seen
})

async function noSideways(page, what) {
  const [needs, has] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  assert.ok(needs <= has, `${what}: the page is ${needs} pixels wide in a window of ${has}`)
}

/** contrast is WCAG's ratio of two CSS colours. */
function contrast(a, b) {
  const luminance = (c) => {
    const v = /^#(.)(.)(.)$/.test(c) ? c.slice(1).split('').map((x) => parseInt(x + x, 16)) : c.slice(1).match(/../g).map((x) => parseInt(x, 16))
    const [r, g, b] = v.map((x) => x / 255).map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p)
  return (x + 0.05) / (y + 0.05)
}

const steps = {
  async 'every width, theme and language: no message, nothing sideways, charts are painted'() {
    for (const name of ['real.html', 'generated.html', 'comparison.html', 'search.html', 'real-comparison.html', 'real-search.html']) {
      for (const width of [1280, 390]) {
        for (const dark of [false, true]) {
          const page = await open(name, { width, height: width === 390 ? 844 : 900, dark })
          const english = await texts(page, 'h2')
          for (const language of ['en', 'zh-CN']) {
            const what = `${name} ${width} ${dark ? 'dark' : 'light'} ${language}`
            if (language !== 'en') await page.click('#language')
            await settle(page)
            assert.equal(await page.locator('html').getAttribute('lang'), language)
            await noSideways(page, what)
            for (const box of /comparison|search/.test(name) ? ['.tradeoff'] : ['[data-chart=sqnr]', '[data-chart=cosine]', '.detail .chart']) {
              const colours = await pixels(page, box)
              assert.ok(Object.values(colours).some((n) => n > 300), `${what}: ${box} is blank`)
            }
            const heads = await texts(page, 'h2')
            assert.equal(heads.length, english.length)
            for (const [i, h] of heads.entries()) assert.equal(/[\u4e00-\u9fff]/.test(h), language !== 'en', `${what}: heading ${i} is "${h}"`)
          }
          await close(page)
        }
      }
    }
  },

  async 'a canvas never is wider than its box'() {
    const page = await open('real.html', { width: 1280 })
    await page.setViewportSize({ width: 390, height: 844 })
    await settle(page)
    await settle(page)
    await noSideways(page, 'after narrowing')
    for (const [box, canvas] of await page.locator('.chart').evaluateAll((all) => all.map((e) => [e.clientWidth, e.querySelector('canvas').clientWidth]))) {
      assert.ok(canvas <= box + 1 && canvas > 200, `a canvas of ${canvas} in a box of ${box}`)
    }
    await close(page)
  },

  async 'accuracy of both networks, agreement, datatypes'() {
    const page = await open('real.html')
    const { result } = await data(page)
    const percent = (x) => `${(100 * x).toFixed(2)} %`
    const summary = await page.locator('#summary').textContent()
    for (const v of [result.float.top1, result.quantized.top1, result.float.top5, result.quantized.top5, result.agreement]) assert.ok(summary.includes(percent(v)), `${percent(v)} is missing in ${summary}`)
    assert.ok(summary.includes(`${result.sqnr_db.toFixed(1)} dB`))
    for (const name of ['int8', 'int4', 'bfloat16']) assert.ok(summary.includes(name), name)
    await close(page)
  },

  async 'sizes, cost, every output, and the worst layers with a rule to copy'() {
    for (const name of ['real.html', 'generated.html']) {
      const page = await open(name)
      const { result, cost, layers } = await data(page)
      assert.equal(await page.locator('#outputs tbody tr').count(), result.outputs.length)
      const outputs = await page.locator('#outputs').textContent()
      for (const o of result.outputs) assert.ok(outputs.includes(o.name) && outputs.includes(`${o.sqnr_db.toFixed(1)} dB`), `${o.name} in ${outputs}`)
      const size = await page.locator('#size').textContent()
      assert.ok(size.includes(`${(cost.bytes / 1e3).toFixed(1)} kB`) || size.includes(`${(cost.bytes / 1e6).toFixed(1)} MB`), size)
      assert.ok(cost.files.length === 2 && /file [\d.]+ .B → [\d.]+ .B/.test(size), size)
      assert.ok((await page.locator('#cost').textContent()).includes(`${(100 * cost.relative).toFixed(1)} %`))

      // The worst layers, in the order of their SQNR, each with the rule that spares it.
      const value = (i) => { const e = layers[i].error; return !e || e.exact ? 1e9 : e.sqnr_db ?? -1e9 }
      const want = layers.map((_, i) => i).sort((a, b) => value(a) - value(b) || a - b).slice(0, 5)
      assert.deepEqual(await page.locator('#worst-layers [data-worst]').evaluateAll((all) => all.map((e) => Number(e.dataset.worst))), want)
      await browser.grantPermissions(['clipboard-read', 'clipboard-write'])
      const rule = async (button) => { await button.click(); await page.getByText('Copied').first().waitFor(); return page.evaluate(() => navigator.clipboard.readText()) }
      assert.equal(await rule(page.locator('#worst-layers .copy').nth(1)), layers[want[1]].spare)
      assert.equal(JSON.parse(layers[want[1]].spare).layer_name, layers[want[1]].name)
      await page.locator(`[data-worst="${want[2]}"]`).click()
      assert.equal(await chosen(page), layers[want[2]].name)
      assert.equal(await rule(page.locator('.detail .spare .copy')), layers[want[2]].spare)
      await close(page)
    }
  },

  async 'a layer whose result another layer stores says so, and is not said to be unquantized'() {
    const page = await open('generated.html')
    const { layers, tensors } = await data(page)
    const i = layers.findIndex((l, n) => l.tensors.length === 0 && l.result >= 0 && tensors[l.result].layer !== n)
    await page.locator(`.rows .row[data-layer="${i}"]`).click()
    const text = await page.locator('.detail').textContent()
    assert.ok(text.includes(layers[i].activation) && !text.includes('Nothing of this layer is quantized'), text)
    assert.equal(await page.locator('#tensor .value').textContent(), tensors[layers[i].result].name)
    await page.locator('.detail .about').first().getByRole('button', { name: layers[tensors[layers[i].result].layer].name, exact: true }).first().click()
    assert.equal(await chosen(page), layers[tensors[layers[i].result].layer].name)
    await close(page)
  },

  async 'the user\'s metric'() {
    const page = await open('generated.html')
    const text = await page.locator('#metric').textContent()
    for (const want of ['wer</script>', '0.125', 'worse by 0.014', 'float', '0.111', 'lower is better']) assert.ok(text.includes(want), `${want} in ${text}`)
    await close(page)
  },

  async 'warnings lead to their layers, and layers show their warnings'() {
    const page = await open('generated.html')
    const { layers, findings } = await data(page)
    const f = findings.find((x) => x.layers)
    await page.locator('#findings [data-to="7"]').click()
    assert.equal(await chosen(page), layers[7].name)
    assert.ok((await page.locator('.detail .told').textContent()).includes('12,345 values are one'))
    assert.equal(await page.locator('.detail .told code').textContent(), f.fix[0].slice(f.fix[0].indexOf('{')))
    assert.ok((await page.locator('.rows .row[data-layer="7"]').textContent()).includes('warning'))
    assert.ok((await page.locator('#first-warnings').textContent()).includes('12,345 values are one'))
    await close(page)
  },

  async 'names stand under the bars'() {
    const page = await open('real.html')
    // Below the bars the canvas is empty but for names.
    const dark = await page.locator('[data-chart=sqnr] canvas').evaluate((c) => {
      const { data } = c.getContext('2d').getImageData(0, Math.round(c.height * 0.66), c.width, Math.round(c.height * 0.33))
      let n = 0
      for (let i = 3; i < data.length; i += 4) if (data[i] > 100) n++
      return n
    })
    assert.ok(dark > 2000, `${dark} pixels of names`)
    await close(page)
  },

  async 'no row is cut below the heads'() {
    for (const [name, width] of [['real.html', 1280], ['generated.html', 1280], ['generated.html', 390]]) {
      const page = await open(name, { width })
      const check = async (what) => {
        await settle(page)
        await page.waitForTimeout(50)
        const [top, height] = await page.locator('.scroll').evaluate((e) => [e.scrollTop, e.clientHeight])
        assert.ok(top % 46 === 0 && height % 46 === 0, `${name} ${width}, ${what}: scrolled to ${top}, ${height} high`)
      }
      await check('at first')
      await page.locator('.layers').focus()
      for (const key of ['Home', 'PageDown', 'ArrowDown', 'End', 'ArrowUp']) { await page.keyboard.press(key); await check(key) }
      await page.locator('.scroll').evaluate((e) => new Promise((done) => { e.addEventListener('scrollend', done, { once: true }); e.scrollTop = 77 }))
      await check('scrolled')
      await close(page)
    }
  },

  async 'the list of layers uses the window: it is as high as that'() {
    const page = await open('generated.html', { height: 900 })
    const height = await page.locator('.scroll').evaluate((e) => e.clientHeight)
    assert.ok(height > 700 && height < 900, `${height} of 900`)
    await close(page)
  },

  async 'Chinese has Chinese punctuation'() {
    for (const name of ['real.html', 'generated.html', 'comparison.html', 'search.html', 'real-comparison.html', 'real-search.html']) {
      const page = await open(name)
      await page.click('#language')
      await page.locator('details').evaluateAll((all) => all.forEach((d) => { d.open = true }))
      const wrong = await page.evaluate(() => {
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
        const out = []
        while (walk.nextNode()) {
          const e = walk.currentNode.parentElement
          if (e.closest('script, style, code, pre, .name, noscript')) continue
          const text = walk.currentNode.data
          if (/[\u4e00-\u9fff] ?[,:;?!(]|[),:;!?.] ?[\u4e00-\u9fff]/.test(text)) out.push(text)
        }
        return out
      })
      assert.deepEqual(wrong, [], name)
      await close(page)
    }
  },

  async 'thousands are told apart in one way, and no path of this machine is told'() {
    for (const name of ['real.html', 'generated.html', 'real-comparison.html', 'real-search.html']) {
      const page = await open(name)
      const text = await page.evaluate(() => document.getElementById('app').innerText)
      assert.ok(!/\d[\u202f\u00a0\u2009]\d{3}(?!\d)/.test(text), 'a space between thousands')
      const long = text.match(/(?<![\w./"-])\d{5,}(?![\w."-])/g) ?? []
      assert.deepEqual(long, [], 'numbers without commas')
      assert.ok(name !== 'real.html' || text.includes('10,000 samples'))
      const command = await page.locator('#reproduce').innerText()
      assert.ok(!/(^|\s)\/\w/.test(command), command)
      await close(page)
    }
  },

  async 'sorting: worst first on a click, by every column, and back'() {
    const page = await open('generated.html')
    const { layers, tensors } = await data(page)
    const network = await rows(page)
    assert.deepEqual(network.slice(0, 3), [0, 1, 2].slice(0, 3).map((_, i) => network[0] + i))
    await page.click('#worst')
    // The layer without a number is the worst of all, then the lowest SQNR.
    const value = (i) => { const e = layers[i].error; return !e ? 2e9 : e.exact ? 1e9 : e.sqnr_db ?? -1e9 }
    const want = layers.map((_, i) => i).sort((a, b) => value(a) - value(b) || a - b)
    assert.deepEqual((await rows(page)).slice(0, 12), want.slice(0, 12))
    assert.equal(await chosen(page), layers[want[0]].name)
    assert.equal(await page.locator('#order').inputValue(), 'sqnr')
    // The bars stand in the same order: the first of them belongs to the first row.
    await page.locator('[data-chart=sqnr]').focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowRight')
    assert.equal(await chosen(page), layers[want[1]].name)
    const zeroed = (i) => Math.max(...layers[i].tensors.map((x) => tensors[x].seen.zeroed))
    await page.setViewportSize({ width: 1400, height: 900 })
    await page.click('[data-sort=zeroed]')
    assert.deepEqual((await rows(page)).slice(0, 5), layers.map((_, i) => i).sort((a, b) => zeroed(b) - zeroed(a) || a - b).slice(0, 5))
    assert.equal(await page.locator('[aria-sort=descending]').count(), 1)
    await page.click('[data-sort=name]')
    const names = layers.map((l) => l.name).sort((a, b) => (a < b ? -1 : 1))
    assert.equal(layers[(await rows(page))[0]].name, names[0])
    await page.selectOption('#order', 'network')
    await page.locator('[data-chart=sqnr]').focus()
    await page.keyboard.press('Home')
    assert.deepEqual((await rows(page)).slice(0, 3), [0, 1, 2])
    await close(page)
  },

  async 'a click on a bar, a key, a row: the layer with its tensors'() {
    const page = await open('real.html')
    const { layers, tensors, settings } = await data(page)
    for (const chart of ['sqnr', 'cosine']) {
      const at = chart === 'sqnr' ? 7 : 3
      const over = page.locator(`[data-chart=${chart}] .u-over`)
      const box = await over.boundingBox()
      await over.click({ position: { x: (box.width * (at + 0.5)) / layers.length, y: box.height - 4 } })
      assert.equal(await chosen(page), layers[at].name)
      assert.equal(await page.locator(`[data-chart=${chart}]`).getAttribute('aria-valuenow'), String(at + 1))
    }
    await page.locator('[data-chart=sqnr]').focus()
    await page.keyboard.press('ArrowRight')
    assert.equal(await chosen(page), layers[4].name)
    await page.locator('.layers').focus()
    await page.keyboard.press('ArrowDown')
    assert.equal(await chosen(page), layers[5].name)
    await page.locator('.rows .row[data-layer="1"]').click()
    assert.equal(await chosen(page), layers[1].name)
    assert.equal(await page.locator('.rows .row[aria-selected=true]').getAttribute('data-layer'), '1')

    // Every tensor of every layer shows its histogram, settings, and weights their channels.
    for (const [i, l] of layers.entries()) {
      await page.locator('.layers').focus()
      await page.keyboard.press('Home')
      for (let n = 0; n < i; n++) await page.keyboard.press('ArrowDown')
      assert.equal(await chosen(page), l.name)
      for (const x of l.tensors) {
        await page.click(`#tab-${x}`)
        assert.equal(await page.locator('#tensor .value').textContent(), tensors[x].name)
        assert.equal(await page.locator('#tensor .chart').count(), (tensors[x].seen.histogram ? 1 : 0) + (tensors[x].seen.channels ? 1 : 0))
        assert.equal(await page.locator('#tensor .settings tbody tr').count(), settings[tensors[x].settings].length)
        const text = await page.locator('#tensor .about').textContent()
        for (const want of ['Clipped', 'Zeroed', 'Own']) assert.ok(text.includes(want), want)
      }
    }
    await close(page)
  },

  async 'a histogram shows thresholds, grid and clipped ends; counts may be linear'() {
    const page = await open('real.html')
    const { layers, tensors } = await data(page)
    const i = layers.findIndex((l) => l.weights === 'int4')
    await page.locator(`.rows .row[data-layer="${i}"]`).click()
    const x = layers[i].tensors.find((t) => tensors[t].kind === 'weights')
    await page.click(`#tab-${x}`)
    const clip = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--clip'))
    const before = await pixels(page, '#tensor .chart')
    assert.ok(before[clip] > 20, `no thresholds in the colour ${clip}`)
    assert.ok((await pixels(page, '#tensor figure:nth-of-type(2) .chart'))[clip] > 20, 'no thresholds over the channels')
    await page.click('#log')
    assert.equal(await page.locator('#log').isChecked(), false)
    const after = await pixels(page, '#tensor .chart')
    assert.notDeepEqual(after, before)
    // Zooming in makes room for the lines of the grid.
    const over = page.locator('#tensor .chart .u-over').first()
    await over.scrollIntoViewIfNeeded()
    const box = await over.boundingBox()
    await page.mouse.move(box.x + box.width * 0.4, box.y + 50)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.6, box.y + 50, { steps: 4 })
    await page.mouse.up()
    await settle(page)
    assert.notDeepEqual(await pixels(page, '#tensor .chart'), after)
    await close(page)
  },

  async 'because: a setting leads to its line; a rule to the layers that it matched'() {
    const page = await open('real.html')
    const { layers, tensors, settings, strategy } = await data(page)
    const lines = strategy.source.split('\n')
    const i = layers.findIndex((l) => l.weights === 'int4')
    await page.locator(`.rows .row[data-layer="${i}"]`).click()
    const x = layers[i].tensors.find((t) => tensors[t].kind === 'weights')
    await page.click(`#tab-${x}`)
    const width = settings[tensors[x].settings].find((s) => s.key === 'bit_width')
    assert.ok(lines[width.line - 1].includes('"bit_width": 4'), `line ${width.line} is ${lines[width.line - 1]}`)
    await page.locator(`#tensor [data-line="${width.line}"]`).first().click()
    assert.equal(await page.locator('.line.chosen').getAttribute('id'), `line-${width.line}`)
    assert.ok((await page.locator('.line.chosen').boundingBox()).y < 900)
    assert.equal(await page.locator('.line code').nth(width.line - 1).textContent(), lines[width.line - 1])

    assert.equal(strategy.rules.length, 3)
    const marks = await texts(page, '.match > summary')
    for (const [n, r] of strategy.rules.entries()) assert.ok(marks[n].includes(r.layers.length === 1 ? 'applies to 1 layer' : `applies to ${r.layers.length} layers`), marks[n])
    assert.ok(strategy.rules[0].layers.length > 5 && strategy.rules[0].lost.length === 1, 'the rule by type loses one layer to the rule by name')
    await page.locator('.match > summary').nth(2).click()
    await page.locator('.match').nth(2).getByRole('button').first().click()
    assert.equal(await chosen(page), layers[strategy.rules[2].layers[0]].name)
    await close(page)
  },

  async 'the network as a graph: boxes below what they read, keys walk, a click chooses'() {
    const page = await open('real.html')
    const { layers } = await data(page)
    await page.click('#view-graph')
    assert.equal(await page.locator('.rows').count(), 0)
    const add = layers.findIndex((l) => l.inputs?.length === 2)
    assert.ok(add > 0)
    const box = (i) => page.locator(`[data-box="${i}"]`)
    // Walking down from the first layer comes to the last, through every step along an edge, and each box is below the one before.
    await page.locator('.graph-scroll').focus()
    await page.keyboard.press('Home')
    assert.equal(await chosen(page), layers[0].name)
    let at = 0, y = -Infinity
    while (layers.some((l) => l.inputs?.includes(at))) {
      await settle(page) // a scroll makes the boxes anew
      const { top, height } = await page.evaluate((i) => { const e = document.querySelector(`[data-box="${i}"]`); return { top: e.offsetTop, height: e.offsetHeight } }, at)
      assert.ok(top >= y, `${layers[at].name} stands at ${top}, what it reads ends at ${y}`)
      y = top + height
      const sight = await box(at).boundingBox(), window = await page.locator('.graph-scroll').boundingBox()
      assert.ok(sight.y >= window.y - 1 && sight.y + sight.height <= window.y + window.height + 1, `${layers[at].name} is out of sight`)
      await page.keyboard.press('ArrowDown')
      const next = layers.findIndex((l) => l.inputs?.includes(at))
      assert.equal(await chosen(page), layers[next].name)
      at = next
    }
    assert.equal(at, layers.length - 1)
    await page.keyboard.press('ArrowUp')
    assert.equal(await chosen(page), layers[layers[at].inputs[0]].name)
    // No two boxes overlap, and the edges of the chosen layer are marked.
    await page.click('#zoom-out')
    await page.click('#zoom-out')
    await page.click('#zoom-out')
    const boxes = await page.locator('.box').evaluateAll((all) => all.map((e) => [e.offsetLeft, e.offsetTop, e.offsetWidth, e.offsetHeight]))
    assert.ok(boxes.length > 10)
    for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) assert.ok(a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1], `${a} and ${b} overlap`)
    assert.ok(await page.locator('path.near').count() >= 1)
    await page.locator(`[data-worst]`).first().click()
    const worst = Number(await page.locator('[data-worst]').first().getAttribute('data-worst'))
    assert.equal(await box(worst).getAttribute('aria-pressed'), 'true')
    await box(worst - 1).click()
    assert.equal(await chosen(page), layers[worst - 1].name)
    // The view stays when the language changes, and the table comes back.
    await page.click('#language')
    assert.equal(await page.locator('#view-graph').getAttribute('aria-selected'), 'true')
    await page.click('#view-table')
    assert.ok(await page.locator('.rows .row').count() > 5)
    await close(page)
  },

  async 'a graph of a thousand layers stays responsive'() {
    const page = await open('large.html')
    const { layers } = await data(page)
    assert.ok(layers.length >= 1000)
    const took = await page.evaluate(async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(done))
      const time = async (f) => { const t = performance.now(); f(); await frame(); return performance.now() - t }
      const key = (k) => document.querySelector('.graph-scroll').dispatchEvent(new KeyboardEvent('keydown', { key: k, bubbles: true }))
      return {
        open: await time(() => document.getElementById('view-graph').click()),
        end: await time(() => key('End')),
        up: await time(() => key('ArrowUp')),
        scroll: await time(() => { document.querySelector('.graph-scroll').scrollTop = 20000 }),
        zoom: await time(() => document.getElementById('zoom-out').click()),
      }
    })
    console.log(`     ${Object.entries(took).map(([k, v]) => `${k} ${v.toFixed(0)} ms`).join(', ')}`)
    assert.ok(await page.locator('.box').count() < 200, 'boxes out of sight exist')
    const boxes = await page.locator('.box').evaluateAll((all) => all.map((e) => [e.offsetLeft, e.offsetTop, e.offsetWidth, e.offsetHeight]))
    assert.ok(boxes.length > 5)
    for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) assert.ok(a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1], `${a} and ${b} overlap`)
    // Many times what it takes on a machine at rest.
    assert.ok(took.open < 20_000, `opening took ${took.open} ms`)
    for (const k of ['end', 'up', 'scroll', 'zoom']) assert.ok(took[k] < 3000, `${k} took ${took[k]} ms`)
    await close(page)
  },

  async 'filter, and nothing found'() {
    const page = await open('real.html')
    const { layers } = await data(page)
    await page.fill('#filter', 'depthwise')
    const want = layers.map((_, i) => i).filter((i) => layers[i].name.includes('depthwise'))
    assert.deepEqual(await rows(page), want)
    await page.fill('#filter', 'no such layer')
    assert.equal(await page.locator('.rows .row').count(), 0)
    assert.ok((await page.locator('.rows').textContent()).length > 0)
    await close(page)
  },

  async 'theme: the switch, and the system\'s'() {
    const page = await open('real.html')
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const light = await back(), bars = await pixels(page, '[data-chart=sqnr]')
    await page.click('#theme')
    await settle(page)
    assert.notEqual(await back(), light)
    const other = await pixels(page, '[data-chart=sqnr]')
    const colour = (p) => Object.entries(p).sort((a, b) => b[1] - a[1])[0][0]
    assert.notEqual(colour(other), colour(bars), 'the bars kept their colour')
    await page.click('#theme')
    assert.equal(await back(), light)
    await close(page)
    const system = await open('real.html')
    await system.emulateMedia({ colorScheme: 'dark' })
    await settle(system)
    assert.notEqual(await system.evaluate(() => getComputedStyle(document.body).backgroundColor), light)
    assert.equal(colour(await pixels(system, '[data-chart=sqnr]')), colour(other))
    await close(system)
  },

  async 'contrast of all text colours is 4.5 or more'() {
    for (const dark of [false, true]) {
      const page = await open('real.html', { dark })
      const get = (name) => page.evaluate((n) => getComputedStyle(document.documentElement).getPropertyValue(n), name)
      for (const text of ['--text', '--muted', '--accent', '--bad', '--good']) {
        for (const back of ['--back', '--card', '--chosen']) {
          const ratio = contrast(await get(text), await get(back))
          assert.ok(ratio >= 4.5, `${text} on ${back}, ${dark ? 'dark' : 'light'}: ${ratio.toFixed(2)}`)
        }
      }
      await close(page)
    }
  },

  async 'everything that can be used has a name'() {
    for (const language of ['en', 'zh']) {
      const page = await open('real.html')
      if (language === 'zh') await page.click('#language')
      const nameless = await page.locator('button, select, input, [role=slider], [role=grid], [role=img], [role=tablist]').evaluateAll((all) =>
        all.filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML.slice(0, 120)))
      assert.deepEqual(nameless, [])
      // Every section can be reached by the keyboard alone.
      const links = await page.locator('nav a').evaluateAll((all) => all.map((a) => document.querySelector(a.getAttribute('href')) !== null))
      assert.ok(links.length >= 6 && links.every(Boolean))
      await close(page)
    }
  },

  async 'names that look like markup stay names'() {
    const page = await open('generated.html')
    const { layers } = await data(page)
    await page.locator('.rows .row[data-layer="1"]').click()
    assert.equal(await chosen(page), layers[1].name)
    assert.ok(layers[1].name.startsWith('</script><script>'))
    await page.locator('.match > summary').click()
    await page.locator('#rewrites summary').click()
    await page.locator('#unquantized summary').click()
    assert.ok((await page.locator('#unquantized').textContent()).includes(layers[1].name))
    assert.equal(await page.locator('img').count(), 0)
    assert.equal(await page.locator('script').count(), 2)
    assert.ok((await page.title()).startsWith('generated.onnx</script>'))
    await page.click('#language')
    assert.equal(await page.locator('img').count(), 0)
    await close(page)
  },

  async 'the policy lets nothing out and nothing in'() {
    const page = await open('real.html')
    const blocked = await page.evaluate(async () => {
      const seen = []
      document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective))
      await fetch('https://example.com/').catch(() => {})
      try { navigator.sendBeacon('https://example.com/', 'x') } catch { /* said by the event */ }
      const img = new Image()
      img.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='
      const script = document.createElement('script')
      script.textContent = 'document.title = "taken"'
      document.body.append(script)
      await new Promise((done) => setTimeout(done, 200))
      return seen
    })
    for (const d of ['connect-src', 'img-src', 'script-src-elem']) assert.ok(blocked.includes(d), `${d} is not blocked: ${blocked}`)
    assert.notEqual(await page.title(), 'taken')
    page.troubles = page.troubles.filter((t) => !/Content Security Policy|example\.com/.test(t))
    await close(page)
  },

  async 'a thousand tensors stay responsive'() {
    const begin = Date.now()
    const page = await open('generated.html')
    await page.locator('.rows .row').first().waitFor()
    const opened = Date.now() - begin
    const { layers, tensors } = await data(page)
    assert.ok(tensors.length >= 1000)
    assert.ok(await page.locator('.rows .row').count() < 50, 'rows out of sight exist')
    const took = await page.evaluate(async () => {
      const frame = () => new Promise((done) => requestAnimationFrame(done))
      const time = async (f) => { const t = performance.now(); f(); await frame(); return performance.now() - t }
      const scroll = document.querySelector('.scroll')
      return {
        sort: await time(() => document.getElementById('worst').click()),
        scroll: await time(() => { scroll.scrollTop = 5000 }),
        choose: await time(() => document.querySelector('.rows .row').click()),
        language: await time(() => document.getElementById('language').click()),
      }
    })
    console.log(`     opened in ${opened} ms; ${Object.entries(took).map(([k, v]) => `${k} ${v.toFixed(0)} ms`).join(', ')}`)
    // Ten times what it takes on a machine at rest.
    assert.ok(opened < 10_000, `opening took ${opened} ms`)
    for (const [what, ms] of Object.entries(took)) assert.ok(ms < 2000, `${what} took ${ms} ms`)
    await page.locator('.scroll').evaluate((e) => { e.scrollTop = e.scrollHeight })
    await settle(page)
    assert.equal((await rows(page)).length > 5, true)
    assert.equal(layers.length, await page.locator('.layers').getAttribute('aria-rowcount') - 1)
    await close(page)
  },

  async 'a comparison: its own title, a chart whose points open strategies, a table'() {
    const page = await open('comparison.html')
    const { compare } = await data(page)
    assert.ok((await page.title()).endsWith('Comparison of strategies'))
    assert.equal(await page.locator('header p').textContent(), 'Comparison of strategies')
    assert.deepEqual(await texts(page, 'nav a'), ['Strategies', 'How to reproduce'])
    const table = page.locator('table.compare')
    assert.equal(await table.locator('tbody tr').count(), compare.rows.length + 1)
    const text = await table.textContent()
    for (const want of ['int8.json', 'weights 8 to 4 bits', '73.21 %', '3.6 MB', '4×8: 1.70 G']) assert.ok(text.includes(want), want)
    assert.equal(await table.locator('td.best').count(), 4)
    // What the user's metric tells comes first, with its name.
    assert.equal(await page.locator('#measure option').first().textContent(), 'map50')
    for (const want of ['map50', '0.412', '0.398', '0.125']) assert.ok(text.includes(want), want)
    // A point for every strategy that has figures, the cheaper one to the left, the better one above.
    const points = page.locator('[data-point]')
    assert.equal(await points.count(), 2)
    const [a, b] = [await points.nth(0).boundingBox(), await points.nth(1).boundingBox()]
    assert.ok(b.x < a.x && a.y < b.y, `${JSON.stringify(a)} ${JSON.stringify(b)}`)
    assert.ok((await page.locator('.point-name').allTextContents()).includes('int4.json'))
    await points.nth(1).click()
    assert.equal(await page.locator('#chosen-strategy h3').textContent(), 'int4.json')
    assert.equal(await page.locator('#chosen-strategy pre').textContent(), compare.rows[1].source)
    assert.equal(await page.locator('[data-row="1"]').getAttribute('aria-selected'), 'true')
    await table.getByRole('button', { name: 'int2.json' }).click()
    assert.ok((await page.locator('#chosen-strategy').textContent()).includes('no mistakes'))
    // Other figures, other axes.
    await page.selectOption('#measure', { label: 'SQNR' })
    await page.selectOption('#against', 'bytes')
    assert.equal(await points.count(), 2)
    const c = await points.nth(1).boundingBox()
    assert.ok(Math.abs(c.y - (await points.nth(0).boundingBox()).y) < 1 && c.x < (await points.nth(0).boundingBox()).x)
    await close(page)
  },

  async 'no column is cut on a narrow page'() {
    for (const name of ['comparison.html', 'search.html', 'generated.html', 'real.html', 'real-comparison.html', 'real-search.html']) {
      const page = await open(name, { width: 390, height: 844 })
      const cut = await page.locator('table.cells th, table.cells td').evaluateAll((all) => all.filter((e) => e.offsetParent && (e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > innerWidth)).map((e) => e.outerHTML.slice(0, 160)))
      assert.deepEqual(cut, [], name)
      await close(page)
    }
  },

  async 'a search: the curve, each trial a point that opens its strategy'() {
    const page = await open('search.html')
    const { search } = await data(page)
    assert.ok((await page.title()).endsWith('Search for a strategy'))
    const source = (i) => search.strategies[search.trials[i].strategy].map((p) => search.pieces[p]).join('')
    // What was found is shown at first; the figure has the objective's name and unit.
    assert.equal(await page.locator('#chosen-strategy pre').textContent(), source(search.best))
    const text = await page.locator('#search').textContent()
    for (const want of ['map50', 'strategy.json', '0.21 points', 'limit 74.00 %'].slice(0, 3)) assert.ok(text.includes(want), want)
    const drawn = search.trials.map((x, i) => i).filter((i) => search.trials[i].value !== null && search.trials[i].state !== 'failed')
    const last = new Map(drawn.map((i) => [search.trials[i].strategy < 0 ? `own ${i}` : search.trials[i].strategy, i]))
    assert.equal(await page.locator('[data-point]').count(), last.size)
    for (const i of [7, 21]) {
      await page.locator(`[data-point="${i}"]`).focus()
      await page.keyboard.press('Enter')
      assert.equal(await page.locator('#chosen-strategy h3').textContent(), `Trial ${i + 1}`)
      assert.equal(await page.locator('#chosen-strategy pre').textContent(), source(i))
      assert.equal(await page.locator('[aria-pressed=true]').getAttribute('data-point'), String(i))
    }
    // A tip tells the figures of a point.
    assert.ok((await page.locator('.tradeoff .tip').textContent()).includes(`map50 ${(100 * search.trials[21].value).toFixed(2)} %`))
    // All trials stand in the table, with those that have no point.
    assert.equal(await page.locator('.trials tbody tr').count(), search.trials.length)
    const rows = await texts(page, '.trials tbody tr')
    assert.ok(rows[2].includes('NaN in </script>') && rows[1].includes('layers alone') && rows[3].includes('given up early') && rows[3].includes('a phase of tomorrow'))
    await page.locator('[data-row="9"] button').click()
    assert.equal(await page.locator('#chosen-strategy pre').textContent(), source(9))
    await browser.grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.locator('#chosen-strategy .copy').click()
    await page.getByText('Copied').first().waitFor()
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), source(9))
    await close(page)
  },

}

/** pictures takes those of the docs: the top of each page, the layers, and one tensor. */
async function pictures(folder) {
  const take = async (page, file, where, top = true) => {
    if (top) await page.evaluate(() => scrollTo(0, 0))
    await settle(page)
    await where.screenshot({ path: join(folder, file) })
    console.log(`wrote ${join(folder, file)}`)
  }
  const page = await open('real.html', { height: 1000 })
  const { layers, tensors } = await data(page)
  const i = layers.findIndex((l) => l.weights === 'int4')
  await page.locator(`.rows .row[data-layer="${i}"]`).click()
  await take(page, 'report.png', page)
  await page.click(`#tab-${layers[i].tensors.find((t) => tensors[t].kind === 'weights')}`)
  await page.locator('#layers').scrollIntoViewIfNeeded()
  await take(page, 'report-layers.png', page.locator('#layers .card').first(), false)
  await take(page, 'report-tensor.png', page.locator('#tensor'), false)
  await page.click('#view-graph')
  await page.locator('.halves').evaluate((e) => e.scrollIntoView())
  await take(page, 'report-graph.png', page, false)
  await close(page)
  for (const name of ['comparison', 'search']) {
    const page = await open(`real-${name}.html`, { height: 800 })
    await take(page, `${name}.png`, page)
    await close(page)
  }
}

let failed = 0
try {
  if (picture) await pictures(picture)
  else {
    for (const [name, step] of Object.entries(steps)) {
      if (process.env.ONLY && !name.includes(process.env.ONLY)) continue
      try {
        await step()
        console.log(`ok   ${name}`)
      } catch (e) {
        failed++
        console.error(`FAIL ${name}\n${e.stack}`)
        for (const page of browser.pages().slice(1)) await page.close()
      }
    }
  }
} finally {
  await browser.close()
  rmSync(profile, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)
