//! A file as TOML, with the place of everything in it.
//!
//! In: text. Out: a tree in which every key is known and takes what stands there; pools with what they inherit, for serde; and the
//! line and column of a key, for whoever refuses it later. Never: a second error; the first ends it.

use super::keys::{self, KEYS};
use super::refusal::{At, Refusal};
use super::values;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A file, and where things stand in it.
pub(super) struct Tree<'t> {
    name: &'t Path,
    text: &'t str,
    root: Spanned<DeTable<'t>>,
}

/// What may stand in a table.
#[derive(Clone, Copy)]
enum Level {
    Root,
    /// The keys of this section of [`KEYS`], and sections below it.
    Section(&'static str),
    /// Names, each with a pool.
    Pools,
    /// As `defaults`, with servers.
    Pool,
}

enum Child {
    Table(Level),
    List(Level),
}

impl<'t> Tree<'t> {
    /// Reads TOML, and holds every key and value against [`KEYS`].
    pub(super) fn read(text: &'t str, name: &'t Path) -> Result<Tree<'t>, Refusal> {
        let none = Spanned::new(0..0, DeTable::new());
        let mut tree = Tree { name, text, root: none };
        tree.root =
            DeTable::parse(text).map_err(|error| tree.refuse_at(error.span(), "", error.message()))?;
        tree.check(Level::Root, "", tree.root.get_ref())?;
        Ok(tree)
    }

    /// The tree for serde: in each pool stands what it says, and else what `defaults` says.
    pub(super) fn with_inheritance(&self) -> Spanned<DeTable<'t>> {
        let mut root = self.root.clone();
        let Some(defaults) = self.table(&["defaults"]) else { return root };
        if let Some(DeValue::Table(pools)) = root.get_mut().get_mut("pools").map(Spanned::get_mut) {
            for (_, pool) in pools.iter_mut() {
                if let DeValue::Table(pool) = pool.get_mut() {
                    inherit(defaults, pool);
                }
            }
        }
        root
    }

    /// What serde says, with its place.
    pub(super) fn refuse_by_serde(&self, error: &toml::de::Error) -> Refusal {
        let span = error.span();
        let key = span.as_ref().and_then(|span| key_around(self.root.get_ref(), span)).unwrap_or_default();
        self.refuse_at(span, &key, error.message())
    }

    /// Refuses what stands at the first of these keys that is there; what a pool doesn't say itself stands in `defaults`.
    pub(super) fn refuse(&self, keys: &[&[&str]], why: &str) -> Refusal {
        let own = keys.iter().map(|key| key.to_vec());
        let inherited = keys.iter().filter(|key| key.len() > 2 && key[0] == "pools");
        let inherited = inherited.map(|key| [&["defaults"], &key[2..]].concat());
        let around = keys.iter().flat_map(|key| (1..key.len()).rev().map(|len| key[..len].to_vec()));
        let mut places = own.chain(inherited).chain(around).filter_map(|key| Some((self.find(&key)?, key)));
        match places.next() {
            Some((span, key)) => self.refuse_at(Some(span), &dotted(&key), why),
            None => self.refuse_at(None, &dotted(keys.first().copied().unwrap_or_default()), why),
        }
    }

    /// Is this key there?
    pub(super) fn says(&self, key: &[&str]) -> bool {
        self.find(key).is_some()
    }

    /// Where it stands, in bytes from the start; what is not there comes last.
    pub(super) fn position(&self, key: &[&str]) -> usize {
        self.find(key).map_or(usize::MAX, |span| span.start)
    }

    /// Its line, from 1.
    pub(super) fn line(&self, key: &[&str]) -> usize {
        self.find(key).map_or(1, |span| self.line_and_column(span.start).0)
    }

    fn check(&self, level: Level, path: &str, table: &DeTable<'t>) -> Result<(), Refusal> {
        // In the order of the file, so that the first error is the first one.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name: &str = key.get_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            if let Some(key) = level.key(name) {
                match key.takes.refuse(value.get_ref()) {
                    Some(why) => return Err(self.refuse_at(Some(value.span()), &path, &why)),
                    None => continue,
                }
            }
            let wrong = |why: &str| Err(self.refuse_at(Some(key.span()), &path, why));
            match (level.child(name), value.get_ref()) {
                (Some(Child::Table(Level::Pool)), _) if values::name(name).is_err() => {
                    return wrong(&values::name(name).err().unwrap_or_default());
                }
                (Some(Child::Table(level)), DeValue::Table(table)) => self.check(level, &path, table)?,
                (Some(Child::List(level)), DeValue::Array(items)) => {
                    for (at, item) in items.iter().enumerate() {
                        let DeValue::Table(table) = item.get_ref() else {
                            return wrong(&format!("is a list of sections: write each as [[{path}]]"));
                        };
                        self.check(level, &format!("{path}[{at}]"), table)?;
                    }
                }
                (Some(Child::Table(_)), _) => return wrong(&format!("is a section: write [{path}]")),
                (Some(Child::List(_)), _) => {
                    return wrong(&format!("is a list of sections: write each as [[{path}]]"));
                }
                (None, _) => {
                    let nearest = keys::did_you_mean(name, level.names().into_iter());
                    return wrong(&format!("there is no such key{nearest}"));
                }
            }
        }
        Ok(())
    }

    fn find(&self, key: &[&str]) -> Option<Range<usize>> {
        let (first, rest) = key.split_first()?;
        let mut here = self.root.get_ref().get(*first)?;
        for step in rest {
            here = match here.get_ref() {
                DeValue::Table(table) => table.get(*step)?,
                DeValue::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(here.span())
    }

    fn table(&self, key: &[&str]) -> Option<&DeTable<'t>> {
        match self.root.get_ref().get(*key.first()?)?.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        }
    }

    fn refuse_at(&self, span: Option<Range<usize>>, key: &str, why: &str) -> Refusal {
        let (line, column) = self.line_and_column(span.map_or(0, |span| span.start));
        let at = At::File { name: self.name.to_owned(), line, column, key: key.to_owned() };
        Refusal { at, why: why.to_owned() }
    }

    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        (before.matches('\n').count() + 1, column + 1)
    }
}

impl Level {
    fn has(self, section: &str) -> bool {
        match self {
            Level::Root | Level::Pools => false,
            Level::Section(own) => own == section,
            Level::Pool => ["defaults", "pools"].contains(&section),
        }
    }

    fn key(self, name: &str) -> Option<&'static keys::Key> {
        KEYS.iter().find(|key| key.name == name && self.has(key.section))
    }

    fn child(self, name: &str) -> Option<Child> {
        let section = |whole: String| KEYS.iter().map(|key| key.section).find(|section| **section == whole);
        match (self, name) {
            (Level::Root, "pools") => Some(Child::Table(Level::Pools)),
            (Level::Root, "listeners" | "routes") => {
                section(name.to_owned()).map(|s| Child::List(Level::Section(s)))
            }
            (Level::Root, _) if !name.contains('.') => {
                section(name.to_owned()).map(|s| Child::Table(Level::Section(s)))
            }
            (Level::Pools, _) => Some(Child::Table(Level::Pool)),
            (Level::Section("defaults") | Level::Pool, _) => {
                section(format!("defaults.{name}")).map(|s| Child::Table(Level::Section(s)))
            }
            _ => None,
        }
    }

    /// All that may stand here.
    fn names(self) -> Vec<&'static str> {
        let keys = KEYS.iter().filter(|key| self.has(key.section)).map(|key| key.name);
        let children = KEYS.iter().filter_map(|key| match (self, key.section.split_once('.')) {
            (Level::Root, None) => Some(key.section),
            (Level::Section("defaults") | Level::Pool, Some((_, child))) => Some(child),
            _ => None,
        });
        keys.chain(children).collect()
    }
}

fn inherit<'t>(from: &DeTable<'t>, into: &mut DeTable<'t>) {
    for (key, value) in from.iter() {
        match (into.get_mut::<str>(key.get_ref()).map(Spanned::get_mut), value.get_ref()) {
            (Some(DeValue::Table(into)), DeValue::Table(from)) => inherit(from, into),
            (Some(_), _) => {}
            (None, _) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The key of the value that this lies in.
fn key_around(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let inside = |value: &Spanned<DeValue<'_>>, key: &str| match value.get_ref() {
        DeValue::Table(table) => key_around(table, span).map(|below| format!("{key}.{below}")),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(at, item)| match item.get_ref() {
            DeValue::Table(table) => key_around(table, span).map(|below| format!("{key}[{at}].{below}")),
            _ => item.span().contains(&span.start).then(|| format!("{key}[{at}]")),
        }),
        _ => value.span().contains(&span.start).then(|| key.to_owned()),
    };
    let named = |key: &Spanned<DeString<'_>>| key.get_ref().to_string();
    table.iter().find_map(|(key, value)| inside(value, &named(key)))
}

fn dotted(key: &[&str]) -> String {
    key.iter().fold(String::new(), |path, step| match step.parse::<usize>() {
        Ok(at) if !path.is_empty() && path != "pools" => format!("{path}[{at}]"),
        _ if path.is_empty() => (*step).to_owned(),
        _ => format!("{path}.{step}"),
    })
}
