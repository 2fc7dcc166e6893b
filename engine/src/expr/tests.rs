//! What the language answers, as the reference implementation does.

use super::*;
use crate::clock::Millis;
use crate::value::Value;
use std::collections::BTreeMap;

#[derive(Default)]
struct Names(BTreeMap<String, Value>);

impl Environment for Names {
    fn variable(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }
    fn local_variable(&self, name: &str) -> Option<Value> {
        self.variable(name)
    }
    fn variables(&self) -> Vec<(String, Value)> {
        self.0.clone().into_iter().collect()
    }
    fn set_variable(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
    fn set_local_variable(&mut self, name: &str, value: Value) {
        self.set_variable(name, value);
    }
    fn remove_variable(&mut self, name: &str) {
        self.0.remove(name);
    }
    fn member(&self, member: Member<'_>) -> Option<Operand> {
        matches!(member, Member::Execution("businessKey")).then(|| Operand::text("order-1"))
    }
    fn knows(&self, known: Known) -> bool {
        known == Known::Execution
    }
    fn now(&self) -> Millis {
        0
    }
}

fn world() -> Names {
    let json = |text: &str| Value::Json(text.to_owned());
    let object = |text: &str| {
        Value::Object(crate::value::Object {
            type_name: "java.util.HashMap".into(),
            format: "application/json".into(),
            text: text.into(),
        })
    };
    Names(BTreeMap::from([
        ("cost".into(), Value::Integer(150)),
        ("rate".into(), Value::Double(0.5)),
        ("name".into(), Value::from("Ada")),
        ("blank".into(), Value::from("")),
        ("nothing".into(), Value::Null),
        ("yes".into(), Value::Boolean(true)),
        ("flags".into(), object(r#"{"LIP":true,"list":[1,2,3]}"#)),
        (
            "order".into(),
            json(r#"{"a":"x","n":5,"items":["p","q"],"none":null}"#),
        ),
        ("when".into(), Value::Date(86_400_000)),
    ]))
}

fn eval(text: &str) -> Result<Value, Error> {
    Template::parse(text)?
        .evaluate(&mut world())
        .map(Operand::into_value)
}

#[test]
fn operators_coerce_as_juel_does() {
    let cases: Vec<(&str, Value)> = vec![
        ("${'10' == 10}", Value::Boolean(true)),
        ("${cost + '5'}", Value::Long(155)),
        ("${7/2}", Value::Double(3.5)),
        ("${7 div 2}", Value::Double(3.5)),
        ("${7 mod 4}", Value::Long(3)),
        ("${null > 3}", Value::Boolean(false)),
        ("${nothing == null}", Value::Boolean(true)),
        ("${null + null}", Value::Long(0)),
        ("${'3' + 4}", Value::Long(7)),
        ("${'3.5' + 4}", Value::Double(7.5)),
        ("${-cost}", Value::Integer(-150)),
        ("${-'2.5'}", Value::Double(-2.5)),
        ("${1 + 2 * 3}", Value::Long(7)),
        ("${(1 + 2) * 3}", Value::Long(9)),
        ("${cost gt 100 and name eq 'Ada'}", Value::Boolean(true)),
        ("${not (cost lt 100) or false}", Value::Boolean(true)),
        ("${!yes}", Value::Boolean(false)),
        (
            "${empty blank && empty nothing && !empty name}",
            Value::Boolean(true),
        ),
        ("${cost > 100 ? 'much' : 'little'}", Value::from("much")),
        ("${rate * 2 == 1}", Value::Boolean(true)),
        ("${'b' > 'a'}", Value::Boolean(true)),
        ("${1e3}", Value::Double(1000.0)),
        ("#{cost}", Value::Integer(150)),
        ("${name == \"Ada\"}", Value::Boolean(true)),
        ("${'it\\'s'}", Value::from("it's")),
    ];
    for (text, expected) in cases {
        assert_eq!(eval(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn texts_with_expressions_are_composed() {
    assert_eq!(
        eval("order-${cost}-${rate}").unwrap(),
        Value::from("order-150-0.5")
    );
    assert_eq!(eval("plain").unwrap(), Value::from("plain"));
    assert_eq!(eval("\\${x}").unwrap(), Value::from("${x}"));
    assert_eq!(eval("${100.0}${'!'}").unwrap(), Value::from("100.0!"));
}

#[test]
fn paths_reach_into_objects_and_json() {
    assert_eq!(
        eval("${flags.LIP && flags['LIP']}").unwrap(),
        Value::Boolean(true)
    );
    assert_eq!(
        eval("${!empty flags.MISSING && flags.MISSING}").unwrap(),
        Value::Boolean(false)
    );
    assert_eq!(eval("${flags.list[1]}").unwrap(), Value::Integer(2));
    assert_eq!(eval("${flags.list.size()}").unwrap(), Value::Integer(3));
    assert_eq!(
        eval("${order.prop('n').numberValue() + 1}").unwrap(),
        Value::Long(6)
    );
    assert_eq!(eval("${order.a == 'x'}").unwrap(), Value::Boolean(true));
    assert_eq!(
        eval("${order.prop('items').elements().get(1).stringValue()}").unwrap(),
        Value::from("q")
    );
    assert_eq!(
        eval("${S('{\"k\":true}').prop('k').boolValue()}").unwrap(),
        Value::Boolean(true)
    );
    assert_eq!(
        eval("${order.prop('none').isNull()}").unwrap(),
        Value::Boolean(true)
    );
}

#[test]
fn methods_of_values_work() {
    assert_eq!(
        eval("${name.toUpperCase().concat('!').length()}").unwrap(),
        Value::Integer(4)
    );
    assert_eq!(eval("${name.substring(1, 2)}").unwrap(), Value::from("d"));
    assert_eq!(eval("${name.equals('Ada')}").unwrap(), Value::Boolean(true));
    assert_eq!(
        eval("${dateTime().plusDays(1).toDate()}").unwrap(),
        Value::Date(86_400_000)
    );
    assert_eq!(eval("${when.after(now())}").unwrap(), Value::Boolean(true));
    assert_eq!(
        eval("${execution.businessKey}/${execution.getBusinessKey()}").unwrap(),
        Value::from("order-1/order-1")
    );
    assert_eq!(
        eval("${execution.setVariable('x', 5)}${execution.getVariable('x') + 1}").unwrap(),
        Value::from("6")
    );
}

#[test]
fn what_is_unknown_raises() {
    assert!(matches!(eval("${missing}"), Err(Error::UnknownName { .. })));
    assert_eq!(
        eval("${missing == 1}").unwrap_err().to_string(),
        "Unknown property used in expression: ${missing == 1}. Cause: Cannot resolve identifier 'missing'"
    );
    assert!(matches!(
        eval("${name.getClass()}"),
        Err(Error::UnknownMethod { .. })
    ));
    assert!(matches!(
        eval("${name.foo}"),
        Err(Error::UnknownProperty { .. })
    ));
    assert!(matches!(
        eval("${'abc' == 10}"),
        Err(Error::Evaluation { .. })
    ));
    assert!(matches!(
        eval("${java.lang.Runtime}"),
        Err(Error::UnknownName { .. })
    ));
}

#[test]
fn what_is_not_the_language_is_refused_with_its_place() {
    for text in [
        "${",
        "${}",
        "${1 +}",
        "${(1}",
        "${a b}",
        "${'x}",
        "${1 ? 2}",
        "${@}",
        "${99999999999999999999}",
    ] {
        assert!(
            matches!(Template::parse(text), Err(Error::Syntax { .. })),
            "{text}"
        );
    }
}

#[test]
fn size_and_depth_have_limits() {
    let deep = format!("${{{}1{}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Template::parse(&deep).is_err());
    let bangs = format!("${{{}true}}", "!".repeat(5_000));
    assert!(Template::parse(&bangs).is_err());
    assert!(Template::parse(&"x".repeat(MAX_LENGTH + 1)).is_err());
    let sum = format!("${{{}}}", vec!["1"; 5_000].join("+"));
    assert!(Template::parse(&sum).is_err());
    let mut world = world();
    world
        .0
        .insert("big".into(), Value::String("x".repeat(MAX_RESULT)));
    let twice = Template::parse("${big.concat(big)}").unwrap();
    assert!(matches!(
        twice.evaluate(&mut world),
        Err(Error::Evaluation { .. })
    ));
}
