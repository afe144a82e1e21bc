// The web map in a real browser: node test.mjs URL SCREENSHOT CHROMIUM. Prints "ok ..." or "not ok ..." a test.
import pg from 'pg';
import puppeteer from 'puppeteer-core';

const [url, screenshot, executablePath] = process.argv.slice(2);
const patience = 120000;
const database = new pg.Pool({ max: 1 });
const sql = async (text, values) => (await database.query(text, values)).rows;

let failed = 0;
function ok(passed, name, found) {
    failed += !passed;
    console.log((passed ? 'ok ' : 'not ok ') + name + (passed || found === undefined ? '' : ': ' + JSON.stringify(found)));
}

const browser = await puppeteer.launch({
    executablePath, headless: true, protocolTimeout: patience,
    args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist', '--disable-dev-shm-usage'] });
const page = await browser.newPage();
await page.setViewport({ width: 1000, height: 600 });
const complaints = [], tiles = [];
page.on('pageerror', (error) => complaints.push(error.message));
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
page.on('response', (response) => response.url().includes('/tiles/') && tiles.push(response));

// What the map shows of a layer once it has come to rest.
const rest = () => page.waitForFunction(() => window.webmap?.loaded() && window.webmap.areTilesLoaded(), { timeout: patience });
async function shown(layer, check) {
    await page.waitForFunction(
        (layer, check) => window.webmap?.loaded() && window.webmap.getLayer(layer) &&
            window.webmap.queryRenderedFeatures({ layers: [layer] }).some(({ properties }) => check in properties),
        { timeout: patience, polling: 300 }, layer, check);
    await rest();
    return page.evaluate((layer) => window.webmap.queryRenderedFeatures({ layers: [layer] }).map(({ properties }) => properties), layer);
}

await page.goto(url + '?model=places');
const labels = (await sql("SELECT label FROM csp.classes WHERE model = 'places'")).map(({ label }) => label);

let features = await shown('prior', 'entropy');
ok(tiles.length > 0 && tiles.every((tile) => tile.status() === 200), 'tiles arrive', tiles.map((tile) => tile.status()));
ok(features.length > 500 && new Set(features.map(({ label }) => label)).size > 3 && features.every(({ label }) => labels.includes(label)),
   'the map of classes has cells of several classes', features.length);

await page.click('#places');
features = await shown('places', 'label');
ok(features.length > 500 && features.every(({ label }) => labels.includes(label)), 'observed places are a layer', features.length);
await page.click('#places');

const image = await page.screenshot({ encoding: 'base64' });
const colours = await page.evaluate(async (png) => {
    const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + png)).blob());
    const context = Object.assign(document.createElement('canvas'), { width: bitmap.width, height: bitmap.height }).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const pixels = new Uint32Array(context.getImageData(300, 0, bitmap.width - 300, bitmap.height).data.buffer);
    return new Set(pixels).size;
}, image);
ok(colours > 20, 'the picture has many colours', colours);

for (const place of [[12.5, 41.9], [25, 22], [-60, -3]]) {
    const at = await page.evaluate((place) => {
        window.webmap.jumpTo({ center: place });
        window.webmap.once('click', ({ lngLat }) => { window.clicked = lngLat.wrap().toArray(); });
        return window.webmap.project(place);
    }, place);
    await rest();
    await page.mouse.click(at.x, at.y);
    await page.waitForSelector('.maplibregl-popup-content td', { timeout: patience });
    const [popup, clicked] = await page.evaluate(() => [
        [...document.querySelectorAll('.maplibregl-popup-content tr')].map((row) => [...row.cells].map((cell) => cell.textContent).join(' ')), window.clicked]);
    const expected = await sql("SELECT label, probability FROM csp_classify(ST_SetSRID(ST_MakePoint($1, $2), 4326), 5, 'places')", clicked);
    ok(JSON.stringify(popup) === JSON.stringify(expected.map(({ label, probability }) => `${label} ${(100 * probability).toFixed(1)} %`)) && popup.length === 5,
       `a click at ${place} says what csp_classify says`, [popup, expected]);
    if (place[1] === 41.9)
        await page.screenshot({ path: screenshot });
    ok(Math.hypot(clicked[0] - place[0], clicked[1] - place[1]) < 1, `the click at ${place} was there`, clicked);
    await page.evaluate(() => document.querySelector('.maplibregl-popup-close-button').click());
}

await page.select('#show', 'prior:BWh');
features = await shown('prior', 'probability');
ok(features.length > 500 && features.every(({ probability, label }) => probability >= 0 && probability <= 1 && label === undefined),
   'another choice brings the probability of one class', features.slice(0, 3));
await page.select('#show', 'embedding');
features = await shown('prior', 'colour');
ok(features.length > 500 && features.every(({ colour }) => /^#[0-9a-f]{6}$/.test(colour)), 'the embedding in colours', features.slice(0, 3));
ok(complaints.length === 0, 'the page has nothing to complain about', complaints);
await browser.close();

const get = (path, headers) => fetch(url + path, { headers });
const first = await get('tiles/2/2/1?model=places&label=Cf');
const again = await get('tiles/2/2/1?model=places&label=Cf', { 'If-None-Match': first.headers.get('etag') });
ok(first.status === 200 && again.status === 304 && (await again.text()) === '', 'a tile that has not changed is not sent again', [first.status, again.status]);
const other = await get('tiles/2/2/1?model=places&label=Cs', { 'If-None-Match': first.headers.get('etag') });
ok(other.status === 200, 'another tile is', other.status);
for (const [path, status, text] of [
    ['tiles/2/2/1?model=places&label=nowhere', 400, /label "nowhere" does not exist/], ['tiles/2/2/1?model=nothing', 400, /model "nothing" does not exist/],
    ['tiles/2/2/1?model=places&cells=1000', 400, /cells of a tile/], ['tiles/2/9/1?model=places', 204, /^$/], ['tiles/99/0/0?model=places', 204, /^$/],
    ['tiles/2/2/x', 404, /not found/], ['classify?lon=a&lat=b&model=places', 400, /invalid input syntax/], ['classify?lon=0&lat=95&model=places', 400, /latitude/],
    ['maplibre/..%2f..%2fpackage.json', 404, /not found/], ['maplibre/nothing.mjs', 404, /not found/], ['server.mjs', 404, /not found/], ["tiles/2/2/1?model=places&label=';DROP TABLE observations", 400, /does not exist/]]) {
    const response = await get(path);
    const answer = await response.text();
    ok(response.status === status && text.test(answer), `${path}: ${status}`, [response.status, answer]);
}
await database.end();
process.exitCode = failed ? 1 : 0;
