// The SharedWorker of the console: one hub for all tabs.

import { Hub } from "./hub.js";

const hub = new Hub();
globalThis.onconnect = (event) => hub.attach(event.ports[0]);
