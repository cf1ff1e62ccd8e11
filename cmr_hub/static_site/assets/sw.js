// Cache the page, the model and the vectors, so that the page works offline.
const CACHE = `cmr ${self.registration.scope} ${VERSION}`;
const address = (path) => new URL(path, self.registration.scope).href;
const isOwn = (url) => url.startsWith(self.registration.scope);

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    // Bypass the browser's cache, which may contain files of an earlier version.
    await cache.addAll(FILES.map((path) => new Request(address(path), { cache: "no-cache" })));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const forget = async () => {
    const others = (await caches.keys()).filter((name) => name.startsWith(`cmr ${self.registration.scope} `) && name !== CACHE);
    await Promise.all(others.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(forget());
});

// ONNX Runtime can use threads only with these headers, which many file servers cannot send.
const isolated = (reply) => {
  const headers = new Headers(reply.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(reply.body, { status: reply.status, statusText: reply.statusText, headers });
};

const answer = async (request) => {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const reply = await fetch(request);
  if (reply.ok) await cache.put(request, reply.clone());
  return isolated(reply);
};

self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && isOwn(event.request.url)) {
    event.respondWith(answer(event.request));
  }
});

// Pictures are cached when they are shown, and the others when the page requests it.
self.addEventListener("message", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    for (const path of event.data.pictures) {
      if (!(await cache.match(address(path)))) await cache.add(address(path)).catch(() => {});
    }
  };
  event.waitUntil(keep());
});
