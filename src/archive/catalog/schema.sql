CREATE TABLE state (size INTEGER NOT NULL, root BLOB NOT NULL, standing BLOB NOT NULL, remains INTEGER NOT NULL);
-- The number is made of the place of the bundle and the position in it, so a higher one is a newer revision. The key is the digest of the id.
CREATE TABLE revision (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, bundle BLOB NOT NULL, lines BLOB NOT NULL, content BLOB NOT NULL,
    generated INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, title TEXT NOT NULL, authors TEXT NOT NULL,
    published TEXT NOT NULL, language TEXT NOT NULL, tags TEXT NOT NULL, summary TEXT NOT NULL,
    current INTEGER NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX revision_by_key ON revision (key, number);
CREATE INDEX revision_current ON revision (id) WHERE current = 1;
CREATE INDEX revision_published ON revision (published) WHERE current = 1 AND published <> '';
-- What snippets are cut from, compressed.
CREATE TABLE body (number INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    title, authors, tags, summary, body, facets, content = '', prefix = '1 2', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2"
);
