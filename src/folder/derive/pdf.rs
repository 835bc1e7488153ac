//! A PDF's information dictionary, read by lopdf without loading the pages; nothing without the feature `pdf`.

use super::Fields;

/// Whether PDF files are read at all.
pub(super) const IS_READ: bool = cfg!(feature = "pdf");

/// Reads nothing.
#[cfg(not(feature = "pdf"))]
pub(super) fn fields(_bytes: &[u8]) -> Fields {
    Fields::default()
}

/// Reads the information dictionary; nothing where there is none to read.
#[cfg(feature = "pdf")]
pub(super) fn fields(bytes: &[u8]) -> Fields {
    // PDF is vast and documents are hostile: whatever the reader stumbles over, the document is still packed, under its file's name.
    let metadata = std::panic::catch_unwind(|| lopdf::Document::load_metadata_mem(bytes).ok()).ok().flatten();
    let Some(metadata) = metadata else { return Fields::default() };
    let split = |text: Option<String>, at: &[char]| {
        text.map(|text| text.split(at).map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default()
    };
    Fields {
        title: metadata.title,
        authors: split(metadata.author, &[';']),
        published: metadata.creation_date.and_then(|date| day(&date)),
        modified: metadata.modification_date.and_then(|date| day(&date)),
        summary: metadata.subject,
        tags: split(metadata.keywords, &[',', ';']),
        ..Fields::default()
    }
}

/// Returns the day of a PDF date, `D:20261124033727Z`.
#[cfg(feature = "pdf")]
fn day(date: &str) -> Option<String> {
    let digits = date.strip_prefix("D:").unwrap_or(date);
    let part = |from: usize, to: usize| digits.get(from..to);
    Some(format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?))
}

#[cfg(all(test, feature = "pdf"))]
mod tests {
    use lopdf::{Document, dictionary};

    use super::*;

    #[test]
    fn a_pdf_gives_what_its_information_dictionary_says() {
        let mut document = Document::with_version("1.5");
        let info = dictionary! {
            "Title" => lopdf::Object::string_literal("On Tides"),
            "Author" => lopdf::Object::string_literal("Ada Moll; Jun Abe"),
            "CreationDate" => lopdf::Object::string_literal("D:20260301120000Z"),
        };
        let info = document.add_object(info);
        let pages = document.add_object(dictionary! { "Type" => "Pages", "Kids" => vec![], "Count" => 0 });
        let root = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
        document.trailer.set("Info", info);
        document.trailer.set("Root", root);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        let fields = fields(&bytes);
        assert_eq!(fields.title.as_deref(), Some("On Tides"));
        assert_eq!(fields.authors, ["Ada Moll", " Jun Abe"]);
        assert_eq!(fields.published.as_deref(), Some("2026-03-01"));
        assert!(super::fields(b"%PDF-1.5 nonsense").title.is_none());
    }
}
