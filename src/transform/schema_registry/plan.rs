//! An Avro schema (specification 1.12, "Schema Declaration"), made ready for reading records.
//!
//! Only what says how bytes are read is taken: documentation, aliases, defaults and properties are
//! not, and a schema is not refused for them.

use std::collections::HashMap;

use serde_json::Value;

use crate::limits;

/// Where a type stands in a plan.
pub(super) type Place = usize;

/// A type, as its bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Place),
    Map(Place),
    Union(Vec<Place>),
    /// Names as they are written: quoted, with a colon.
    Record(Vec<(Vec<u8>, Place)>),
    /// Symbols as they are written: quoted.
    Enum(Vec<Vec<u8>>),
    Fixed(usize),
    /// Digits behind the point.
    DecimalBytes(u32),
    DecimalFixed(usize, u32),
    UuidFixed,
    /// Months, days, milliseconds.
    Duration,
}

/// A schema whose types know where the ones in them stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Place,
}

/// Why a text is no schema that records can be read with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SchemaError {
    #[error("it is no JSON")]
    Json,
    #[error("a type is missing or malformed")]
    Malformed,
    #[error("the type {0:?} is not known")]
    Unknown(String),
    #[error("types lie more than {} levels deep", limits::AVRO_DEPTH_MAX)]
    TooDeep,
}

impl Plan {
    /// Reads a schema, which may name types of the `others`; these in an order in which none
    /// names a later one.
    pub(super) fn read(schema: &str, others: &[String]) -> Result<Self, SchemaError> {
        let mut builder = Builder::default();
        for other in others {
            builder.text(other)?;
        }
        let root = builder.text(schema)?;
        Ok(Self { nodes: builder.nodes, root })
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    names: HashMap<String, Place>,
}

impl Builder {
    fn text(&mut self, schema: &str) -> Result<Place, SchemaError> {
        let trimmed = schema.trim();
        // Some registries give a primitive type without its quotes.
        if primitive(trimmed).is_some() {
            return self.named(trimmed, "");
        }
        let schema: Value = serde_json::from_str(schema).map_err(|_| SchemaError::Json)?;
        self.read(&schema, "", 0)
    }

    fn push(&mut self, node: Node) -> Place {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn read(
        &mut self,
        schema: &Value,
        namespace: &str,
        depth: usize,
    ) -> Result<Place, SchemaError> {
        if depth > limits::AVRO_DEPTH_MAX {
            return Err(SchemaError::TooDeep);
        }
        match schema {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches =
                    branches.iter().map(|branch| self.read(branch, namespace, depth + 1));
                let branches = branches.collect::<Result<_, _>>()?;
                Ok(self.push(Node::Union(branches)))
            }
            Value::Object(_) => self.complex(schema, namespace, depth),
            _ => Err(SchemaError::Malformed),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<Place, SchemaError> {
        if let Some(node) = primitive(name) {
            return Ok(self.push(node));
        }
        let known = self.names.get(&full_name(name, namespace)).or_else(|| self.names.get(name));
        known.copied().ok_or_else(|| SchemaError::Unknown(name.to_owned()))
    }

    fn complex(
        &mut self,
        schema: &Value,
        namespace: &str,
        depth: usize,
    ) -> Result<Place, SchemaError> {
        let Some(kind) = schema["type"].as_str() else {
            // `{"type": {"type": …}}`, or a union under `type`.
            return self.read(&schema["type"], namespace, depth + 1);
        };
        match kind {
            "record" | "error" => self.record(schema, namespace, depth),
            "enum" => {
                let symbols = schema["symbols"].as_array().ok_or(SchemaError::Malformed)?;
                let quote = |symbol: &Value| symbol.as_str().map(quoted);
                let symbols = symbols.iter().map(quote).collect::<Option<_>>();
                let place = self.push(Node::Enum(symbols.ok_or(SchemaError::Malformed)?));
                self.name(schema, namespace, place).map(|_| place)
            }
            "fixed" => {
                let size = schema["size"].as_u64().and_then(|size| usize::try_from(size).ok());
                let place = self.push(fixed(schema, size.ok_or(SchemaError::Malformed)?));
                self.name(schema, namespace, place).map(|_| place)
            }
            "array" => {
                let items = self.read(&schema["items"], namespace, depth + 1)?;
                Ok(self.push(Node::Array(items)))
            }
            "map" => {
                let values = self.read(&schema["values"], namespace, depth + 1)?;
                Ok(self.push(Node::Map(values)))
            }
            "bytes" if schema["logicalType"] == "decimal" => {
                Ok(self.push(scale(schema).map_or(Node::Bytes, Node::DecimalBytes)))
            }
            name => self.named(name, namespace),
        }
    }

    fn record(
        &mut self,
        schema: &Value,
        namespace: &str,
        depth: usize,
    ) -> Result<Place, SchemaError> {
        // Its fields may name it.
        let place = self.push(Node::Null);
        let namespace = self.name(schema, namespace, place)?;
        let fields = schema["fields"].as_array().ok_or(SchemaError::Malformed)?;
        let mut members = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field["name"].as_str().ok_or(SchemaError::Malformed)?;
            let mut name = quoted(name);
            name.push(b':');
            // A logical type may stand beside the type instead of in it; it is not valid there.
            members.push((name, self.read(&field["type"], &namespace, depth + 1)?));
        }
        self.nodes[place] = Node::Record(members);
        Ok(place)
    }

    /// Keeps the name of a type. The answer is the namespace of what lies in it.
    fn name(
        &mut self,
        schema: &Value,
        namespace: &str,
        place: Place,
    ) -> Result<String, SchemaError> {
        let name = schema["name"].as_str().ok_or(SchemaError::Malformed)?;
        let full = full_name(name, schema["namespace"].as_str().unwrap_or(namespace));
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        self.names.insert(full, place);
        Ok(namespace)
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn fixed(schema: &Value, size: usize) -> Node {
    match (schema["logicalType"].as_str(), size) {
        (Some("decimal"), _) => {
            scale(schema).map_or(Node::Fixed(size), |scale| Node::DecimalFixed(size, scale))
        }
        (Some("uuid"), 16) => Node::UuidFixed,
        (Some("duration"), 12) => Node::Duration,
        _ => Node::Fixed(size),
    }
}

/// The scale of a decimal; one that is no sound decimal is what it is written as.
fn scale(schema: &Value) -> Option<u32> {
    let scale = match &schema["scale"] {
        Value::Null => 0,
        scale => scale.as_u64()?,
    };
    u32::try_from(scale).ok().filter(|&scale| scale <= limits::SCHEMA_DECIMAL_DIGITS_MAX)
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a text serializes")
}
