package layout

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

var timeType = reflect.TypeFor[time.Time]()

// replacement is what is proposed in place of a type that cannot be in shared memory.
type replacement struct {
	why  string // t cannot be stored, and what to use
	text string // the type in Go; empty: leave the field out
	note string // a comment behind it
	shape
}

// replace returns the replacement of a type that has a fault, and is neither an array nor a
// structure.
func replace(t reflect.Type) replacement {
	const perSystem = "whose size differs between systems; use "
	const refers = "which refers to the memory of one process; "
	switch t.Kind() {
	case reflect.Int:
		return replacement{perSystem + "int64 or int32", "int64", "", shape{size: 8, align: 8}}
	case reflect.Uint, reflect.Uintptr:
		return replacement{perSystem + "uint64 or uint32", "uint64", "", shape{size: 8, align: 8}}
	case reflect.Bool:
		return replacement{"which has bit patterns that are not valid; use samepage.Bool", "samepage.Bool", "", shape{size: 1, align: 1}}
	case reflect.Struct: // time.Time
		return replacement{refers + "use samepage.Time", "samepage.Time", "", shape{size: 8, align: 8}}
	case reflect.String:
		return replacement{refers + "use an array of bytes", "[64]byte", "choose a length", shape{size: 64, align: 1}}
	case reflect.Slice:
		var p printer
		text, note := p.typeText(t.Elem(), "")
		var c checker
		if s := c.check(t.Elem(), ""); text != "" && note == "" && s.size > 0 {
			return replacement{refers + "use an array", "[16]" + text, "choose a length", shape{size: 16 * s.size, align: s.align}}
		}
	}
	return replacement{why: refers + "leave it out", shape: shape{align: 1}}
}

// printer writes types that can be stored.
type printer struct {
	pkg   string         // path of the package of the first type
	named []reflect.Type // with faults, which are to be written too
}

// corrected returns the declaration of a type like t that can be stored, and of the types in it
// that have faults. It is empty if there is no such type.
func corrected(t reflect.Type) string {
	var c checker
	if c.check(t, "").size == 0 {
		return ""
	}
	p := &printer{pkg: t.PkgPath()}
	if ownName(t) == "" {
		text, _ := p.typeText(t, "")
		return text
	}
	p.named = []reflect.Type{t}
	var all []string
	for i := 0; i < len(p.named); i++ {
		t := p.named[i]
		text := replace(t).text
		switch t.Kind() {
		case reflect.Struct:
			text = p.structText(t, "")
		case reflect.Array:
			elem, _ := p.typeText(t.Elem(), "")
			text = fmt.Sprintf("[%d]%s", t.Len(), elem)
		}
		name, _, _ := strings.Cut(ownName(t), "[") // without type parameters
		all = append(all, fmt.Sprintf("type %s %s", name, text))
	}
	return strings.Join(all, "\n\n")
}

// typeText returns the text of a type that replaces t, and a comment. It is empty if there is
// none.
func (p *printer) typeText(t reflect.Type, indent string) (text, note string) {
	var c checker
	c.check(t, "")
	named := t.PkgPath() != ""
	switch {
	case t.Kind() == reflect.Array && !named:
		text, note = p.typeText(t.Elem(), indent)
		if text == "uint8" {
			text = "byte" // the compiler takes both for one
		}
		if text != "" {
			text = fmt.Sprintf("[%d]%s", t.Len(), text)
		}
		return text, note
	case t.Kind() == reflect.Struct && !named:
		return p.structText(t, indent), ""
	case len(c.faults) == 0:
		return p.name(t), ""
	case t.Kind() == reflect.Struct && t != timeType, t.Kind() == reflect.Array:
		if !slices.Contains(p.named, t) {
			p.named = append(p.named, t)
		}
		return p.name(t), ""
	}
	r := replace(t)
	return r.text, r.note
}

// name returns the name of a type as the package of the first type writes it.
func (p *printer) name(t reflect.Type) string {
	if t.PkgPath() != p.pkg || t.PkgPath() == "" {
		return t.String()
	}
	return ownName(t)
}

func (p *printer) structText(t reflect.Type, indent string) string {
	type line struct{ name, text string }
	var all []line
	pad := func(n int) {
		if n > 0 {
			all = append(all, line{"_", fmt.Sprintf("[%d]byte", n)})
		}
	}
	var last []line // fields without bytes, which must not be at the end
	end, align, width := 0, 1, 1
	for i := range t.NumField() {
		f := t.Field(i)
		text, note := p.typeText(f.Type, indent+"\t")
		if text == "" {
			all = append(all, line{"", "// " + f.Name + " is left out"})
			continue
		}
		if note != "" {
			text += " // " + note
		}
		l := line{f.Name, text}
		if f.Anonymous {
			l = line{text, ""}
		} else {
			width = max(width, len(f.Name))
		}
		if f.Type.Size() == 0 {
			last = append(last, l)
			continue
		}
		var c checker
		s := c.check(f.Type, "")
		pad(-end & (s.align - 1))
		end += -end&(s.align-1) + s.size
		align = max(align, s.align)
		all = append(all, l)
	}
	pad(-end & (align - 1))
	var b strings.Builder
	b.WriteString("struct {\n")
	for _, l := range append(last, all...) {
		switch {
		case l.name == "" || l.text == "":
			fmt.Fprintf(&b, "%s\t%s%s\n", indent, l.name, l.text)
		default:
			fmt.Fprintf(&b, "%s\t%-*s %s\n", indent, width, l.name, l.text)
		}
	}
	b.WriteString(indent + "}")
	return b.String()
}
