CREATE TABLE state (size INTEGER NOT NULL, root BLOB NOT NULL, remains INTEGER NOT NULL);
CREATE TABLE bundle (
    id BLOB PRIMARY KEY, file TEXT NOT NULL, file_bytes INTEGER NOT NULL, leaf INTEGER NOT NULL, articles INTEGER NOT NULL,
    replaces BLOB, replaced_by BLOB, gone INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- The leaf is the row's number, so a higher one is a newer revision.
CREATE TABLE revision (
    leaf INTEGER PRIMARY KEY, id TEXT NOT NULL, path TEXT NOT NULL, bundle BLOB NOT NULL, lines BLOB NOT NULL, content BLOB NOT NULL,
    generated INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, title TEXT NOT NULL, authors TEXT NOT NULL,
    published TEXT NOT NULL, language TEXT NOT NULL, tags TEXT NOT NULL, summary TEXT NOT NULL,
    current INTEGER NOT NULL, withdrawn INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX revision_by_id ON revision (id, leaf);
CREATE INDEX revision_current ON revision (id) WHERE current = 1;
CREATE INDEX revision_published ON revision (published) WHERE current = 1 AND published <> '';
CREATE TABLE withdrawal (id TEXT PRIMARY KEY, statement BLOB NOT NULL, leaf INTEGER NOT NULL) WITHOUT ROWID;
-- What snippets are cut from, compressed.
CREATE TABLE body (leaf INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    title, authors, tags, summary, body, facets, content = '', prefix = '1 2', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2"
);
