//! The two macros in which the protocol's tables are written.

/// Declares records: the struct, its codec and its `FIELDS` from one list that reads like `zookeeper.jute`. Records of numbers only
/// are declared after `fixed:`; they are read and written in one piece.
macro_rules! records {
    (fixed: $(
        $(#[$meta:meta])*
        $record:ident = $name:literal {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $jute_type:literal $jute_name:literal,)+
        }
    )+) => {$(
        records!(@declare $(#[$meta])* $record $name { $($(#[$field_meta])* $field: $type = $jute_type $jute_name,)+ });

        impl $crate::Jute for $record {
            records!(@common $record $name { $($field: $type = $jute_name,)+ });

            #[inline]
            fn encode(&self, out: &mut $crate::BytesMut) {
                let mut wire = [0; <$record as $crate::Jute>::MIN_LEN];
                let mut rest = &mut wire[..];
                $(rest = $crate::jute::Fixed::write(self.$field, rest);)+
                debug_assert!(rest.is_empty());
                bytes::BufMut::put_slice(out, &wire);
            }

            #[inline(always)]
            fn decode(input: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let Some(wire) = input.chunk::<{ <$record as $crate::Jute>::MIN_LEN }>() else {
                    return Err($crate::jute::too_short::<Self>(input.clone()));
                };
                Ok(Self::read(wire))
            }
        }

        impl $record {
            #[inline(always)]
            pub(crate) fn read(wire: &[u8; <Self as $crate::Jute>::MIN_LEN]) -> Self {
                let rest = &wire[..];
                $(let ($field, rest) = <$type as $crate::jute::Fixed>::read(rest);)+
                debug_assert!(rest.is_empty());
                Self { $($field),+ }
            }
        }
    )+};

    (@declare $(#[$meta:meta])* $record:ident $name:literal {
        $($(#[$field_meta:meta])* $field:ident: $type:ty = $jute_type:literal $jute_name:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, Default)]
        pub struct $record {
            $($(#[$field_meta])* pub $field: $type,)+
        }

        impl $crate::Record for $record {
            const NAME: &'static str = $name;
            const FIELDS: &'static [$crate::Field] =
                &[$($crate::Field { name: $jute_name, jute_type: $jute_type }),+];
        }

        #[cfg(feature = "proptest")]
        impl $crate::strategy::Generate for $record {
            fn strategy() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::Strategy as _;

                let fields = ($(<$type as $crate::strategy::Generate>::strategy(),)+);
                fields.prop_map(|($($field,)+)| Self { $($field),+ }).boxed()
            }
        }
    };

    (@common $record:ident $name:literal { $($field:ident: $type:ty = $jute_name:literal,)+ }) => {
        const MIN_LEN: usize = 0 $(+ <$type as $crate::Jute>::MIN_LEN)+;

        #[inline]
        fn encoded_len(&self) -> usize {
            0 $(+ $crate::Jute::encoded_len(&self.$field))+
        }

        #[inline]
        fn skip(input: &mut $crate::Reader<'_>) -> Result<(), $crate::DecodeError> {
            $(<$type as $crate::Jute>::skip(input).map_err(|error| error.within($name, $jute_name))?;)+
            Ok(())
        }

        fn to_value(&self) -> $crate::Value {
            $crate::Value::Record(alloc::vec![$(($jute_name, $crate::Jute::to_value(&self.$field))),+])
        }
    };

    ($(
        $(#[$meta:meta])*
        $record:ident = $name:literal {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $jute_type:literal $jute_name:literal,)+
        }
    )+) => {$(
        records!(@declare $(#[$meta])* $record $name { $($(#[$field_meta])* $field: $type = $jute_type $jute_name,)+ });

        impl $crate::Jute for $record {
            records!(@common $record $name { $($field: $type = $jute_name,)+ });

            #[inline(always)]
            fn encode(&self, out: &mut $crate::BytesMut) {
                $($crate::Jute::encode(&self.$field, out);)+
            }

            #[inline(always)]
            fn decode(input: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self {
                    $($field: <$type as $crate::Jute>::decode(input)
                        .map_err(|error| error.within($name, $jute_name))?,)+
                })
            }
        }
    )+};
}

/// Declares a number of the protocol: a newtype whose unknown values survive, with ZooKeeper's name
/// and ours for each known one.
macro_rules! wire_number {
    (
        $(#[$meta:meta])*
        $number:ident {
            $($(#[$const_meta:meta])* $constant:ident = $value:literal $zookeeper:literal $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $number(pub i32);

        impl $number {
            $($(#[$const_meta])* pub const $constant: Self = Self($value);)+

            /// Every value that has a name, as declared.
            pub const KNOWN: &'static [Self] = &[$(Self($value)),+];

            /// ZooKeeper's name, if the value is known.
            pub const fn zookeeper_name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($zookeeper),)+
                    _ => None,
                }
            }

            /// The name in snake case, if the value is known.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)+
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $number {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        jute_newtype!($number: i32);

        #[cfg(feature = "proptest")]
        impl $crate::strategy::Generate for $number {
            fn strategy() -> proptest::strategy::BoxedStrategy<Self> {
                $crate::strategy::known_or_any(Self::KNOWN, Self)
            }
        }
    };
}

/// Gives a newtype the encoding of what it holds.
macro_rules! jute_newtype {
    ($newtype:ident: $inner:ty) => {
        impl $crate::Jute for $newtype {
            const MIN_LEN: usize = <$inner as $crate::Jute>::MIN_LEN;

            #[inline]
            fn encode(&self, out: &mut $crate::BytesMut) {
                $crate::Jute::encode(&self.0, out);
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                Self::MIN_LEN
            }

            #[inline]
            fn decode(input: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                <$inner as $crate::Jute>::decode(input).map(Self)
            }

            fn to_value(&self) -> $crate::Value {
                $crate::Jute::to_value(&self.0)
            }
        }

        impl $crate::jute::Fixed for $newtype {
            #[inline]
            fn write(self, wire: &mut [u8]) -> &mut [u8] {
                $crate::jute::Fixed::write(self.0, wire)
            }

            #[inline]
            fn read(wire: &[u8]) -> (Self, &[u8]) {
                let (inner, rest) = <$inner as $crate::jute::Fixed>::read(wire);
                (Self(inner), rest)
            }
        }
    };
}

/// Declares what can follow a header: an enum of records, and of operations that have none.
macro_rules! bodies {
    (
        $(#[$meta:meta])*
        $name:ident {
            records { $($(#[$variant_meta:meta])* $variant:ident($record:ty),)+ }
            empty { $($(#[$empty_meta:meta])* $empty:ident,)* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant($record),)+
            $($(#[$empty_meta])* $empty,)*
        }

        impl $name {
            /// The length of the record's encoding in bytes, without the header.
            #[inline]
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(Self::$variant(record) => $crate::Jute::encoded_len(record),)+
                    $(Self::$empty => 0,)*
                }
            }

            /// Appends the record, without the header.
            #[inline]
            pub fn encode(&self, out: &mut $crate::BytesMut) {
                match self {
                    $(Self::$variant(record) => $crate::Jute::encode(record, out),)+
                    $(Self::$empty => {})*
                }
            }

            /// The record's name in jute, if there is a record.
            pub fn record_name(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant(_) => Some(<$record>::NAME),)+
                    $(Self::$empty => None,)*
                }
            }

            /// The record as a tree that knows no types, if there is a record.
            pub fn to_value(&self) -> Option<$crate::Value> {
                match self {
                    $(Self::$variant(record) => Some($crate::Jute::to_value(record)),)+
                    $(Self::$empty => None,)*
                }
            }
        }

        #[cfg(feature = "proptest")]
        impl $crate::strategy::Generate for $name {
            fn strategy() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::Strategy as _;

                let records = [$(<$record as $crate::strategy::Generate>::strategy().prop_map(Self::$variant).boxed(),)+];
                $crate::strategy::any_of(records.into(), alloc::vec![$(Self::$empty,)*])
            }
        }
    };
}
