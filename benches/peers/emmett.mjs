// Appends one event a call with emmett for some seconds: 64 calls in flight, each on streams of its own, since emmett refuses a call
// whose stream was appended to meanwhile. Prints the calls a second as one line of JSON. The database is that of libpq's variables.
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const IN_FLIGHT = 64;
const STREAMS_EACH = 8;
const WARM_UP_S = 1;
const [seconds, stamp] = [Number(process.argv[2]), process.argv[3]];
const { PGUSER, PGPASSWORD, PGHOST, PGPORT, PGDATABASE } = process.env;
const url = `postgres://${PGUSER}:${PGPASSWORD}@${PGHOST}:${PGPORT}/${PGDATABASE}`;
const pool = new pg.Pool({ connectionString: url, max: IN_FLIGHT });
const store = getPostgreSQLEventStore(url, { connectionOptions: { pool } });

async function append(worker, until) {
    let done = 0;
    while (performance.now() < until) {
        const labels = { round: `${stamp}-${done}`, site: 'lund' };
        await store.appendToStream(`node:n-${worker}-${done % STREAMS_EACH}`, [{ type: 'NodeLabelled', data: { labels } }]);
        done += 1;
    }
    return done;
}

async function round(length) {
    const began = performance.now();
    const done = await Promise.all(Array.from({ length: IN_FLIGHT }, (_, worker) => append(worker, began + length * 1000)));
    return done.reduce((sum, count) => sum + count, 0) / ((performance.now() - began) / 1000);
}

// The first call makes the tables; the others wait for it. Node compiles meanwhile, too.
await store.appendToStream('node:first', [{ type: 'NodeLabelled', data: { labels: {} } }]);
await round(WARM_UP_S);
console.log(JSON.stringify({ rate: await round(seconds), connections: pool.totalCount }));
await store.close();
await pool.end();
