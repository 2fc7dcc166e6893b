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

/// A document as the variables `x`, a text, and `e`, of type Xml.
fn ask_of_order(question: &str) -> Result<String, Error> {
    let order = r#"<?xml version="1.0"?>
<!-- c --><order id="7" b='&lt;q"' xmlns="urn:o" xmlns:p="urn:p"><!--in--><item n="1">one &amp; <b>bold</b></item>
 <item n="2"><![CDATA[<raw>]]></item><p:note p:k="v" k="w">hi</p:note><empty></empty></order>"#;
    let values = [("x", Value::from(order)), ("e", Value::Xml(order.into()))];
    let mut names = Names(values.map(|(name, value)| (name.into(), value)).into());
    Template::parse(&format!("${{{question}}}"))?
        .evaluate(&mut names)
        .map(|operand| to_text(&operand))
}

/// What Spin 7.24.0 answers.
#[test]
fn xml_is_read_as_spin_reads_it() {
    for (question, answer) in [
        ("e.name()", "order"),
        ("e.namespace()", "urn:o"),
        ("empty e.prefix()", "true"),
        ("e.hasPrefix('')", "false"),
        ("e.hasPrefix(null)", "true"),
        ("e.hasNamespace('urn:o')", "true"),
        ("e.attr('id').value()", "7"),
        ("e.attr('id')", "7"),
        ("e.attr('id').name()", "id"),
        ("e.hasAttr('id')", "true"),
        ("e.hasAttr('xmlns')", "false"),
        ("e.attrNames()", "[b, id, xmlns, p]"),
        ("e.attrNames('urn:o')", "[]"),
        ("e.textContent()", "one & bold\n <raw>hi"),
        ("e.childElement('empty').textContent()", ""),
        ("e.childElement('urn:p', 'note').textContent()", "hi"),
        ("e.childElement('urn:p', 'note').attr('k').value()", "w"),
        (
            "e.childElement('urn:p', 'note').attrNs('urn:p', 'k').value()",
            "v",
        ),
        (
            "e.childElement('urn:p', 'note').attrNs('urn:p', 'k').prefix()",
            "p",
        ),
        ("e.attrNs(null, 'id').value()", "7"),
        (
            "e.childElement('urn:p', 'note').hasAttrNs('urn:p', 'k')",
            "true",
        ),
        ("e.childElements().size()", "4"),
        ("e.childElements('item').size()", "2"),
        ("e.childElements('urn:p', 'note').size()", "1"),
        ("e.childElement('empty').childElements().size()", "0"),
        ("e.childElements('item').get(1).attr('n').value() + 1", "3"),
        ("e.childElements('item')[1].textContent()", "<raw>"),
        ("XML(x).name() == S(x).name()", "true"),
        ("XML(e).childElement('empty').namespace()", "urn:o"),
        (
            "XML('<a><b>1</b></a>').childElement(null, 'b').textContent()",
            "1",
        ),
        ("S('  <a/>').name()", "a"),
        (
            "XML('<a>q<?pi x?><b>r</b><!--c--></a>').textContent()",
            "qr",
        ),
    ] {
        assert_eq!(ask_of_order(question).as_deref(), Ok(answer), "{question}");
    }
}

/// What Spin 7.24.0 writes.
#[test]
fn xml_is_written_as_spin_writes_it() {
    let begins = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    for (question, written) in [
        (
            "e",
            "<order xmlns=\"urn:o\" xmlns:p=\"urn:p\" b=\"&lt;q&quot;\" id=\"7\">\n  <item n=\"1\">\n    one &amp; \n    <b>bold</b>\n  </item>\n  <item n=\"2\">&lt;raw&gt;</item>\n  <p:note k=\"w\" p:k=\"v\">hi</p:note>\n  <empty/>\n</order>",
        ),
        (
            "e.childElements('item').get(0)",
            "<item xmlns=\"urn:o\" n=\"1\">\n  one &amp; \n  <b>bold</b>\n</item>",
        ),
        (
            "e.childElement('urn:p', 'note').toString()",
            "<p:note xmlns:p=\"urn:p\" k=\"w\" p:k=\"v\">hi</p:note>",
        ),
        ("e.childElement('empty')", "<empty xmlns=\"urn:o\"/>"),
        ("XML('<a>\n  <b> x </b>\n</a>')", "<a>\n  <b> x </b>\n</a>"),
        ("XML('<a><b> </b> <c/>\n</a>')", "<a>\n  <b/>\n  <c/>\n</a>"),
        ("XML('<a>\n  x<b/></a>')", "<a>\n    x\n  <b/>\n</a>"),
        (
            "XML('<a>x<b/>\n\n y\n z </a>')",
            "<a>\n  x\n  <b/>\n   y\n z \n</a>",
        ),
        (
            "XML('<a xml:space=\"preserve\">q<b> <c/> </b> <d xml:space=\"default\"> <e/> </d></a>')",
            "<a xml:space=\"preserve\">q<b> <c/> </b> <d xml:space=\"default\">\n    <e/>\n  </d></a>",
        ),
        (
            "XML('<a xml:space=\"preserve\">  </a>')",
            "<a xml:space=\"preserve\">  </a>",
        ),
        (
            "XML('<a><?pi x?><b/><!--c--></a>')",
            "<a>\n  <?pi x?>\n  <b/>\n</a>",
        ),
        (
            "XML('<a k=\"&quot;&lt;&gt;&amp;&#10;&#9;é\">&lt;&gt;&amp;\"&#13;é€😀</a>')",
            "<a k=\"&quot;&lt;&gt;&amp;&#10;&#9;é\">&lt;&gt;&amp;\"&#13;é€&#128512;</a>",
        ),
        (
            "XML('<a z=\"1\" b=\"2\" m=\"3\"/>')",
            "<a b=\"2\" m=\"3\" z=\"1\"/>",
        ),
        (
            "XML('<p:a xmlns:p=\"urn:p\"><b/><p:b k=\"1\"/></p:a>').childElement('b')",
            "<p:b xmlns:p=\"urn:p\" k=\"1\"/>",
        ),
    ] {
        let written = format!("{begins}{written}\n");
        assert_eq!(ask_of_order(question), Ok(written), "{question}");
    }
}

/// What Spin 7.24.0 refuses.
#[test]
fn what_xml_has_not_is_refused_as_spin_refuses_it() {
    for (question, reason) in [
        (
            "e.attr('nix')",
            "SPIN/DOM-XML-01006 Unable to find attribute with namespace 'null' and name 'nix'",
        ),
        (
            "e.childElement('nix')",
            "SPIN/DOM-XML-01007 Unable to find child element with namespace 'urn:o' and name 'nix'",
        ),
        (
            "e.childElements('urn:p', 'nix')",
            "SPIN/DOM-XML-01007 Unable to find child element with namespace 'urn:p' and name 'nix'",
        ),
        (
            "e.childElement('item')",
            "SPIN/DOM-XML-01008 More than one child element was found for namespace 'urn:o' and name 'item'",
        ),
        ("XML('')", "SPIN/DOM-XML-01009"),
        ("XML('<a>')", "SPIN/DOM-XML-01009"),
        ("XML('  <?xml version=\"1.0\"?><a/>')", "SPIN/DOM-XML-01009"),
        (
            "XML('<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>')",
            "SPIN/DOM-XML-01009",
        ),
        ("XML(null)", "is null"),
        ("S('abc')", "SPIN-01004 No matching data format detected"),
        ("S(5)", "SPIN-01001 Unsupported input of type 'Long'"),
        ("e.mapTo('a.B')", "Could not find method mapTo"),
    ] {
        let failed = ask_of_order(question).unwrap_err().to_string();
        assert!(failed.contains(reason), "{question}: {failed}");
    }
}

/// Documents that would cost much more than their length.
#[test]
fn xml_has_limits() {
    let deep = format!("{}{}", "<a>".repeat(5_000), "</a>".repeat(5_000));
    let declaring: String = (0..1_001).map(|n| format!("<a xmlns:p{n}='u'/>")).collect();
    let many = format!("<a>{}</a>", "<b/>".repeat(250_000));
    // Short as it came, long when each line is indented.
    let within = format!(
        "{}{}{}",
        "<a>".repeat(100),
        "<b/>".repeat(100_000),
        "</a>".repeat(100)
    );
    for (text, reason) in [
        (deep, "elements nest deeper than 128"),
        (many, "it has more than 250000 nodes"),
        (
            format!("<a>{declaring}</a>"),
            "it declares more than 1000 namespaces",
        ),
        (within, "it is longer than"),
        (
            format!("<a>{}</a>", "x".repeat(MAX_RESULT)),
            "it is longer than",
        ),
    ] {
        let failed = super::xml::Element::read(&text).unwrap_err().to_string();
        assert!(failed.contains(reason), "{failed}");
    }
}

/// A part of a document can be longer than the whole: blanks that stood for themselves are indented, namespaces declared anew.
#[test]
fn parts_of_xml_documents_are_bounded_too() {
    let ask = |document: String, question: &str| {
        let mut names = Names([("e".to_owned(), Value::Xml(document))].into());
        Template::parse(question)?
            .evaluate(&mut names)
            .map(|operand| to_text(&operand))
    };
    let deep = format!(
        "<r xml:space='preserve'>{}{}{}</r>",
        "<a>".repeat(100),
        "<b/>".repeat(100_000),
        "</a>".repeat(100)
    );
    let part = ask(deep, "${e.childElement('a')}").unwrap();
    assert!(part.len() > 2 * MAX_RESULT, "{}", part.len());
    let borrowing = format!(
        "<p:r xmlns:p='urn:{}'>{}</p:r>",
        "u".repeat(1_000_000),
        "<p:a/>".repeat(1_000)
    );
    for question in ["${e.childElements()}", "${e.childElements('a')}"] {
        let failed = ask(borrowing.clone(), question).unwrap_err().to_string();
        assert!(
            failed.contains("namespaces of all these elements"),
            "{failed}"
        );
    }
}
