//! The table of lies: for each rule of the format a bundle that breaks it and nothing else, and honest bundles at the edge of the rules.

mod edges;
mod files;
mod frames;
mod giant;
mod index;
mod manifest;
mod metadata;
mod paths;
mod signatures;
mod was;

use super::forge::{Forged, Stage, Work};

/// What the text says of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    Yes,
    /// Refused, with one of these codes where any is given.
    No(&'static [&'static str]),
    /// The text can be read both ways: the readers shall agree on one.
    Agree,
    /// The answer hangs on what a library does beyond the text: only the verbs are held to their word.
    Any,
}

/// What is done after each stage.
type Tell = Box<dyn Fn(Stage, &mut Work) + Send + Sync>;

pub struct Lie {
    pub name: String,
    pub expect: Expect,
    tell: Tell,
    /// The name that the file shall have, by its id.
    pub file_name: Option<fn(&Forged) -> String>,
    /// Too large for every verb in a short run.
    pub heavy: bool,
    /// So large that it is only verified, and only in a long run.
    pub giant: bool,
}

impl Lie {
    pub fn forge(&self) -> Forged {
        Work::new().make(&self.tell)
    }
}

/// Where the lies are written down.
#[derive(Default)]
pub struct Table {
    lies: Vec<Lie>,
}

impl Table {
    fn add(
        &mut self,
        name: impl Into<String>,
        expect: Expect,
        stage: Stage,
        change: impl Fn(&mut Work) + Send + Sync + 'static,
    ) -> &mut Lie {
        self.tell(name, expect, move |now, work| {
            if now == stage {
                change(work);
            }
        })
    }

    /// Two changes at two stages.
    fn add_two(
        &mut self,
        name: impl Into<String>,
        expect: Expect,
        (one, first): (Stage, impl Fn(&mut Work) + Send + Sync + 'static),
        (other, second): (Stage, impl Fn(&mut Work) + Send + Sync + 'static),
    ) -> &mut Lie {
        self.tell(name, expect, move |now, work| {
            if now == one {
                first(work);
            }
            if now == other {
                second(work);
            }
        })
    }

    /// Changes at any stages.
    fn tell(
        &mut self,
        name: impl Into<String>,
        expect: Expect,
        tell: impl Fn(Stage, &mut Work) + Send + Sync + 'static,
    ) -> &mut Lie {
        let lie = Lie { name: name.into(), expect, tell: Box::new(tell), file_name: None, heavy: false, giant: false };
        self.lies.push(lie);
        self.lies.last_mut().expect("one was added")
    }

    fn yes(
        &mut self,
        name: impl Into<String>,
        stage: Stage,
        change: impl Fn(&mut Work) + Send + Sync + 'static,
    ) -> &mut Lie {
        self.add(name, Expect::Yes, stage, change)
    }

    fn no(
        &mut self,
        name: impl Into<String>,
        codes: &'static [&'static str],
        stage: Stage,
        change: impl Fn(&mut Work) + Send + Sync + 'static,
    ) -> &mut Lie {
        self.add(name, Expect::No(codes), stage, change)
    }

    fn agree(
        &mut self,
        name: impl Into<String>,
        stage: Stage,
        change: impl Fn(&mut Work) + Send + Sync + 'static,
    ) -> &mut Lie {
        self.add(name, Expect::Agree, stage, change)
    }
}

/// Returns all lies. Their names are unique.
pub fn all() -> Vec<Lie> {
    let mut table = Table::default();
    paths::tell(&mut table);
    metadata::tell(&mut table);
    manifest::tell(&mut table);
    index::tell(&mut table);
    files::tell(&mut table);
    frames::tell(&mut table);
    signatures::tell(&mut table);
    was::tell(&mut table);
    edges::tell(&mut table);
    giant::tell(&mut table);
    table.lies
}

/// Replaces a text that must occur exactly once.
fn replace_once(text: &mut Vec<u8>, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    let places: Vec<_> = (0..=text.len() - from.len()).filter(|&at| text[at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{:?} in {:?}", String::from_utf8_lossy(from), String::from_utf8_lossy(text));
    text.splice(places[0]..places[0] + from.len(), to.iter().copied());
}
