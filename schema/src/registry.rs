//! Macros for the lists that many places need: kinds of entities, types of events, types of commands, and the variants of
//! enums that travel between programs of different versions.
//!
//! A list has one row for each member. Everything that has to name all members follows from the rows: the enum, its names
//! on the wire, its reader and its writer. Nothing else in the crate repeats a list by hand, so that a member can't be
//! forgotten in one of several places. The rows stand where they are read: in [`crate::entity`], [`crate::change`] and
//! [`crate::command`].
//!
//! A name on the wire is written out in its row and not made from the Rust name: renaming in Rust must not rename what is
//! stored.

/// The kinds of entities.
///
/// ```text
/// /// What it is.
/// Document(DocumentId) = "document";
/// ```
///
/// A kind whose entities have ids of their own names the type of these in parentheses. The type is made here, and a reference
/// to such an id converts to an [`Entity`](crate::entity::Entity). The other kinds are known by ids of something else, a node's
/// for example: which entity is meant is for a constructor to say.
macro_rules! entities {
    ($($(#[$doc:meta])* $kind:ident $(($id:ident))? = $name:literal;)*) => {
        /// The ids of the kinds that have ids of their own. [`crate::id`] is where they are found.
        pub mod ids {
            use core::borrow::Borrow;
            use core::fmt;
            use core::str::FromStr;

            use serde::{Deserialize, Serialize};

            use crate::id::{Id, id_of};
            use crate::invalid::InputError;

            $($(id_of!(#[doc = concat!("The id of an entity of kind `", $name, "`.")] $id);)?)*
        }

        /// The kinds of things that have a history of their own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
            /// A kind that only newer programs know. It is carried and shown, and no event about it is understood.
            Unknown(UnknownVariantName),
        }

        impl Kind {
            /// Every kind that this program knows.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The kind's name on every wire.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Unknown(name) => name.as_str(),
                }
            }
        }

        $($(
            impl From<&ids::$id> for Entity {
                fn from(id: &ids::$id) -> Self {
                    Self { kind: Kind::$kind, id: id.id().clone() }
                }
            }
        )?)*
    };
}

/// The types of events.
///
/// ```text
/// /// What happened.
/// NodeRetired = "NodeRetired" on Node;
/// /// What happened.
/// DocumentPut(Arc<DocumentPut>) = "DocumentPut" on Document;
/// /// What happened.
/// ReportChanged(Arc<Summary>) = "ReportChanged" on Report, formats [REPORT_WITH_GOOD];
/// ```
///
/// In parentheses stands the shape of the data; a type without one has no data but an empty object, to which members can
/// be added later. `formats` lists every format after the first, in order: see [`EventFormat`](crate::change::EventFormat).
macro_rules! events {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident $(($($data:tt)+))? = $name:literal on $kind:ident $(, formats [$($format:expr),+])?;
    )*) => {
        /// Every event type there is.
        pub static EVENT_TYPES: [EventType; Change::TYPES.len()] = [$(EventType {
            name: $name,
            kind: Kind::$kind,
            meaning: concat!($($doc),*).trim_ascii_start(),
            formats: &[$($($format),+)?],
            read: |text| events!(@read text => $variant $(($($data)+))?),
        }),*];

        /// What happened to an entity. What a state keeps as it was said is shared with it: a log is folded as often as it
        /// is read.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Change {
            $($(#[doc = $doc])* $variant $(($($data)+))?,)*
        }

        impl Change {
            /// The name of every event type there is.
            pub const TYPES: [&'static str; [$($name),*].len()] = [$($name),*];

            /// The type's name on every wire.
            #[must_use]
            pub const fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                }
            }

            /// The kind of entity that it happens to.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant { .. } => Kind::$kind,)*
                }
            }

            /// The formats of the type after the first.
            const fn formats(&self) -> &'static [EventFormat] {
                match self {
                    $(Self::$variant { .. } => &[$($($format),+)?],)*
                }
            }

            /// The data as JSON text in the newest format.
            fn newest_data(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(events!(@pattern data, $variant $(($($data)+))?) => events!(@write data $(=> $($data)+)?),)*
                }
            }
        }
    };

    // One rule for each shape of the data: shared, plain, none.
    (@read $text:ident => $variant:ident (Arc<$data:ty>)) => { parse::<$data>($text).map(|data| Change::$variant(Arc::new(data))) };
    (@read $text:ident => $variant:ident ($data:ty)) => { parse::<$data>($text).map(Change::$variant) };
    (@read $text:ident => $variant:ident) => { parse::<NoData>($text).map(|_| Change::$variant) };

    (@pattern $name:ident, $variant:ident ($($data:tt)+)) => { Change::$variant($name) };
    (@pattern $name:ident, $variant:ident) => { Change::$variant };

    (@write $name:ident => Arc<$data:ty>) => { serde_json::to_string::<$data>($name) };
    (@write $name:ident => $data:ty) => { serde_json::to_string::<$data>($name) };
    (@write $name:ident) => { Ok("{}".into()) };
}

/// The types of commands.
///
/// ```text
/// /// What is asked for.
/// LabelNode(id: NodeId, labels: Labels) about id, from "label_node" as Labelled, by labelled;
/// /// What is asked for. Only the reconciler asks for this.
/// NoteReport(node: NodeId, summary: Summary) about Entity::report(node);
/// ```
///
/// `about` says which entity the command is about: an expression over the fields, which are references there. `from` gives
/// the name under which JSON asks for it, `as` the shape of its members, and `by` the function that reads the JSON: it gets the
/// members and the constructor of the command. A command without `from` is only asked for by Headwater's own parts.
macro_rules! commands {
    ($(
        $(#[doc = $doc:literal])*
        $variant:ident ($($field:ident: $type:ty),+) about $entity:expr $(, from $name:literal as $form:ty, by $read:path)?;
    )*) => {
        /// An intention about one entity.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $($(#[doc = $doc])* $variant($($type),+),)*
        }

        /// Every type that JSON can ask for, with the reader of its fields.
        const TYPES: &[(&str, Read)] = &[$($(($name, |fields| $read(fields, Command::$variant)),)?)*];

        /// The shape of every type that JSON can ask for; none for the others.
        #[cfg(feature = "json-schema")]
        pub(crate) const SHAPES: &[Option<CommandShape>] = &[$(commands!(@shape [$($doc),*] $($name, $form)?)),*];

        impl Command {
            /// The `type` by which JSON asks for the command; none if no JSON does.
            const fn json_type(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant(..) => commands!(@name $($name)?),)*
                }
            }

            /// The entity that the command is about.
            #[must_use]
            #[allow(unused_variables, reason = "most commands are about the first of their fields")]
            pub fn entity(&self) -> Entity {
                match self {
                    $(Self::$variant($($field),+) => Entity::from($entity),)*
                }
            }
        }
    };

    (@shape [$($doc:literal),*] $name:literal, $form:ty) => {
        Some(CommandShape {
            name: $name,
            meaning: concat!($($doc),*).trim_ascii_start(),
            members: <$form as schemars::JsonSchema>::json_schema,
        })
    };
    (@shape [$($doc:literal),*]) => { None };

    (@name $name:literal) => { Some($name) };
    (@name) => { None };
}

/// An enum of names on a wire between programs of different versions.
///
/// A reader takes a name that it does not know for what it is, a variant of a newer program: it keeps the name, shows it and
/// writes it again. So an older reader still gets everything else that the record says. What to do about such a variant is
/// decided where it is used.
macro_rules! open_enum {
    ($(#[$meta:meta])* pub enum $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
            /// A variant that only newer programs know.
            Unknown(UnknownVariantName),
        }

        impl $enum {
            /// The name on the wire.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(name) => name.as_str(),
                }
            }
        }

        impl From<UnknownVariantName> for $enum {
            fn from(name: UnknownVariantName) -> Self {
                match name.as_str() {
                    $($name => Self::$variant,)*
                    _ => Self::Unknown(name),
                }
            }
        }

        impl Serialize for $enum {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $enum {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                UnknownVariantName::deserialize(deserializer).map(Self::from)
            }
        }
    };
}
