//! Stub.
pub struct Symbols(Vec<crate::observe::CodeMapping>);
pub struct Code(u64);
impl Code { pub fn name(&self) -> String { format!("+{:#x}", self.0) } }
impl Symbols { pub fn of(maps: Vec<crate::observe::CodeMapping>) -> Self { Self(maps) } pub fn locate(&mut self, i: u64) -> Code {
 for m in &self.0 { if m.range.contains(&i) { return Code(i - m.range.start + m.offset); } } Code(i) } }
