// The web map's server: the page, the tiles, and what the database answers. Connects as PGHOST, PGDATABASE, ... say, and
// listens on 127.0.0.1, port PORT or 8080. POINTS names a table of places with columns geom and label, MASK one of polygons.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import pg from 'pg';

const pool = new pg.Pool({ max: 4 }).on('error', (error) => console.error(error.message));
const library = new URL('.', import.meta.resolve('maplibre-gl'));
const types = { html: 'text/html; charset=utf-8', mjs: 'text/javascript', css: 'text/css' };

const models = `
    SELECT m.name, coalesce(json_agg(c.label ORDER BY c.class) FILTER (WHERE c.label IS NOT NULL), '[]') AS labels
    FROM csp.models m LEFT JOIN csp.classes c ON c.model = m.name AND c.version = m.version
    WHERE m.deployed GROUP BY m.name ORDER BY m.name`;
const classify = 'SELECT rank, label, probability FROM csp_classify(ST_SetSRID(ST_MakePoint($1, $2), 4326), 5, $3)';
const points = `
    SELECT json_build_object('type', 'FeatureCollection', 'features', coalesce(json_agg(json_build_object(
        'type', 'Feature', 'geometry', ST_AsGeoJSON(geom, 3)::json, 'properties', json_build_object('label', label))), '[]')) AS points
    FROM `;

// Paths and what answers them. The query of a tile's URL goes to the database as it is: csp_prior_tile checks it.
const routes = [
    [/^\/$/, () => file(new URL('index.html', import.meta.url))],
    [/^\/maplibre\/([\w.-]+\.(?:mjs|css))$/, ([, name]) => file(new URL(name, library))],
    [/^\/models$/, async () => json((await pool.query(models)).rows)],
    [/^\/points$/, async () => json(process.env.POINTS ? (await pool.query(points + process.env.POINTS)).rows[0].points : null)],
    [/^\/classify$/, async (_, q) => json((await pool.query(classify, [q.get('lon'), q.get('lat'), q.get('model')])).rows)],
    [/^\/tiles\/(\d{1,2})\/(\d{1,9})\/(\d{1,9})$/, tile],
];

const file = async (url) => ({ type: types[url.pathname.split('.').pop()], body: await readFile(url) });
const json = (value) => ({ type: 'application/json', body: JSON.stringify(value) });

async function tile([, ...zxy], q, request) {
    const query = JSON.stringify({ ...Object.fromEntries(q), mask: process.env.MASK });
    const { rows: [{ etag }] } = await pool.query('SELECT csp_prior_tile_etag($1, $2, $3, $4) AS etag', [...zxy, query]);
    const headers = { ETag: `"${etag}"`, 'Cache-Control': 'no-cache' };
    if (request.headers['if-none-match'] === headers.ETag)
        return { status: 304, headers };
    const { rows: [{ tile: body }] } = await pool.query('SELECT csp_prior_tile($1, $2, $3, $4) AS tile', [...zxy, query]);
    return body.length ? { type: 'application/vnd.mapbox-vector-tile', body, headers } : { status: 204, headers };
}

async function answer(request) {
    const url = new URL(request.url, 'http://localhost');
    for (const [path, handle] of routes) {
        const match = path.exec(url.pathname);
        if (match)
            return handle(match, url.searchParams, request);
    }
    return { status: 404, type: 'text/plain', body: 'not found' };
}

createServer(async (request, response) => {
    let result;
    try {
        result = await answer(request);
    } catch (error) {
        // What is wrong with a request the database says; anything else is the server's own trouble.
        const status = error instanceof pg.DatabaseError ? 400 : error.code === 'ENOENT' ? 404 : 500;
        if (status === 500) console.error(error);
        result = { status, type: 'text/plain; charset=utf-8', body: { 400: error.message, 404: 'not found', 500: 'internal error' }[status] };
    }
    response.writeHead(result.status ?? 200, { ...(result.type && { 'Content-Type': result.type }), ...result.headers });
    response.end(result.body);
}).listen(process.env.PORT ?? 8080, '127.0.0.1', function () {
    console.log(`http://127.0.0.1:${this.address().port}/`);
});
