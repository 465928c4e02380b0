// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The interpreter's own find, match, gmatch and gsub cannot be stopped: a pattern of 50 characters keeps one of them busy
// for ever, and the interpreter takes that for a single instruction. So patterns are matched here, as chapter 5.4.1 of the
// manual of Lua 5.1 has them, and every comparison counts against the script's budget.

// maxCaptures is how many parts of a match a pattern may capture, as in Lua.
const maxCaptures = 32

// maxMatching is how deep a pattern may call itself, which it does for each part that may be there or not.
const maxMatching = 2_000

// openCapture and positionCapture stand for the length of a capture that has not ended, or is a position.
const (
	openCapture     = -1
	positionCapture = -2
)

// matcher matches one pattern at places of one text.
type matcher struct {
	l             *lua.LState
	text, pattern string
	depth, steps  int
	captures      []struct{ start, length int }
}

// newMatcher returns also whether the pattern holds at the first place only.
func newMatcher(l *lua.LState, text, pattern string) (m *matcher, anchored bool) {
	pattern, anchored = strings.CutPrefix(pattern, "^")
	return &matcher{l: l, text: text, pattern: pattern}, anchored
}

// at matches at a place, and returns where the match ends, or -1.
func (m *matcher) at(start int) int {
	m.captures, m.depth = m.captures[:0], 0
	return m.match(start, 0)
}

// step counts: 8 comparisons take as long as an instruction.
func (m *matcher) step() {
	if m.steps++; m.steps%8 == 0 {
		charge(m.l, 1)
	}
}

// match matches the pattern from p on to the text from s on, and returns where the match ends, or -1.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatching {
		m.l.RaiseError("the pattern %s is too complex", cited(m.pattern))
	}
	defer func() { m.depth-- }()
	for p < len(m.pattern) {
		m.step()
		switch c := m.pattern[p]; {
		case c == '(':
			return m.begin(s, p+1)
		case c == ')':
			return m.end(s, p+1)
		case c == '$' && p+1 == len(m.pattern):
			if s == len(m.text) {
				return s
			}
			return -1
		}
		next, special := m.special(s, p)
		if special > 0 {
			if next < 0 {
				return -1
			}
			s, p = next, p+special
			continue
		}
		end := m.class(p)
		if end < len(m.pattern) && strings.IndexByte("*+-?", m.pattern[end]) >= 0 {
			return m.repeated(s, p, end)
		}
		if !m.fits(s, p, end) {
			return -1
		}
		s, p = s+1, end
	}
	return s
}

// special matches what begins with % and is no class: %bxy, %f[set], %1. It returns where that ends in the text, or -1, and
// how long it is in the pattern, 0 where there is none.
func (m *matcher) special(s, p int) (next, length int) {
	if m.pattern[p] != '%' || p+1 == len(m.pattern) {
		return s, 0
	}
	switch c := m.pattern[p+1]; {
	case c == 'b':
		return m.balanced(s, p+2), 4
	case c == 'f':
		end := m.class(p + 2)
		if m.pattern[p+2] != '[' || m.in(m.byteAt(s-1), p+2, end) || !m.in(m.byteAt(s), p+2, end) {
			return -1, end - p
		}
		return s, end - p
	case isDigit(c):
		return m.again(s, c), 2
	}
	return s, 0
}

// repeated matches the class in pattern[p:end] as often as what comes after it says, and then the rest.
func (m *matcher) repeated(s, p, end int) int {
	switch m.pattern[end] {
	case '*':
		return m.most(s, p, end, 0)
	case '+':
		return m.most(s, p, end, 1)
	case '-':
		return m.least(s, p, end)
	}
	if m.fits(s, p, end) {
		if to := m.match(s+1, end+1); to >= 0 {
			return to
		}
	}
	return m.match(s, end+1)
}

// most tries as many of a class as there are first, and no fewer than least.
func (m *matcher) most(s, p, end, least int) int {
	n := 0
	for m.fits(s+n, p, end) {
		n++
	}
	for ; n >= least; n-- {
		if to := m.match(s+n, end+1); to >= 0 {
			return to
		}
	}
	return -1
}

// least tries none of a class first.
func (m *matcher) least(s, p, end int) int {
	for {
		if to := m.match(s, end+1); to >= 0 {
			return to
		}
		if !m.fits(s, p, end) {
			return -1
		}
		s++
	}
}

// begin begins a capture.
func (m *matcher) begin(s, p int) int {
	if len(m.captures) == maxCaptures {
		m.l.RaiseError("the pattern %s has more than %d captures", cited(m.pattern), maxCaptures)
	}
	length, at := openCapture, len(m.captures)
	if p < len(m.pattern) && m.pattern[p] == ')' {
		length, p = positionCapture, p+1
	}
	m.captures = append(m.captures, struct{ start, length int }{s, length})
	to := m.match(s, p)
	if to < 0 {
		m.captures = m.captures[:at]
	}
	return to
}

// end ends the capture that was begun last.
func (m *matcher) end(s, p int) int {
	for i := len(m.captures) - 1; i >= 0; i-- {
		if m.captures[i].length != openCapture {
			continue
		}
		m.captures[i].length = s - m.captures[i].start
		to := m.match(s, p)
		if to < 0 {
			m.captures[i].length = openCapture
		}
		return to
	}
	m.l.RaiseError("the pattern %s ends a capture that it has not begun", cited(m.pattern))
	return -1
}

// balanced matches %bxy, whose x and y are at p.
func (m *matcher) balanced(s, p int) int {
	if p+1 >= len(m.pattern) {
		m.l.RaiseError("malformed pattern %s: %%b wants two characters", cited(m.pattern))
	}
	if s >= len(m.text) || m.text[s] != m.pattern[p] {
		return -1
	}
	for open := 1; ; {
		m.step()
		if s++; s == len(m.text) {
			return -1
		}
		switch m.text[s] {
		case m.pattern[p+1]: // first, for pairs of one character
			if open--; open == 0 {
				return s + 1
			}
		case m.pattern[p]:
			open++
		}
	}
}

// again matches what a capture has.
func (m *matcher) again(s int, digit byte) int {
	i := int(digit - '1')
	if i < 0 || i >= len(m.captures) || m.captures[i].length == openCapture {
		m.l.RaiseError("the pattern %s has no capture %%%c there", cited(m.pattern), digit)
	}
	length := max(m.captures[i].length, 0)
	charge(m.l, length>>6)
	if !strings.HasPrefix(m.text[s:], m.text[m.captures[i].start:m.captures[i].start+length]) {
		return -1
	}
	return s + length
}

// class returns where the class ends that begins at p.
func (m *matcher) class(p int) int {
	if p >= len(m.pattern) {
		m.l.RaiseError("malformed pattern %s: a class is missing", cited(m.pattern))
	}
	c := m.pattern[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pattern) {
			m.l.RaiseError("malformed pattern %s: it ends with %%", cited(m.pattern))
		}
		return p + 1
	case '[':
		if p < len(m.pattern) && m.pattern[p] == '^' {
			p++
		}
		for first := true; ; first = false {
			m.step()
			if p >= len(m.pattern) {
				m.l.RaiseError("malformed pattern %s: a ] is missing", cited(m.pattern))
			}
			c := m.pattern[p]
			p++
			switch {
			case c == '%':
				p++
			case c == ']' && !first:
				return p
			}
		}
	}
	return p
}

// byteAt is the byte at a place, 0 beyond the text.
func (m *matcher) byteAt(s int) byte {
	if s < 0 || s >= len(m.text) {
		return 0
	}
	return m.text[s]
}

// fits reports whether there is a byte at s, and the class in pattern[p:end] has it.
func (m *matcher) fits(s, p, end int) bool {
	m.step()
	return s < len(m.text) && m.in(m.text[s], p, end)
}

// in reports whether the class in pattern[p:end] has a byte.
func (m *matcher) in(c byte, p, end int) bool {
	switch m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pattern[p+1])
	case '[':
		return m.inSet(c, p+1, end-1)
	default:
		return m.pattern[p] == c
	}
}

// inSet reports whether the set in pattern[p:end], without its brackets, has a byte.
func (m *matcher) inSet(c byte, p, end int) bool {
	has := true
	if m.pattern[p] == '^' {
		has, p = false, p+1
	}
	for ; p < end; p++ {
		m.step()
		switch {
		case m.pattern[p] == '%':
			if p++; inClass(c, m.pattern[p]) {
				return has
			}
		case p+2 < end && m.pattern[p+1] == '-':
			if m.pattern[p] <= c && c <= m.pattern[p+2] {
				return has
			}
			p += 2
		case m.pattern[p] == c:
			return has
		}
	}
	return !has
}

// classes are the bytes of the classes such as %a, by their letters.
var classes = map[byte]func(c byte) bool{
	'a': isLetter,
	'c': func(c byte) bool { return c < ' ' || c == 0x7f },
	'd': isDigit,
	'l': func(c byte) bool { return 'a' <= c && c <= 'z' },
	'p': func(c byte) bool { return '!' <= c && c <= '~' && !isLetter(c) && !isDigit(c) },
	's': func(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' },
	'u': func(c byte) bool { return 'A' <= c && c <= 'Z' },
	'w': func(c byte) bool { return isLetter(c) || isDigit(c) },
	'x': func(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' },
	'z': func(c byte) bool { return c == 0 },
}

// inClass reports whether a class such as %a, by its letter, has a byte. Upper case letters are the opposite; what is no
// letter of a class stands for itself.
func inClass(c, letter byte) bool {
	if has, ok := classes[letter|0x20]; ok && isLetter(letter) {
		return has(c) == (letter >= 'a')
	}
	return c == letter
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// captured are the values of a match: its captures, or all of it where it has none.
func (m *matcher) captured(from, to int) []lua.LValue {
	if len(m.captures) == 0 {
		return []lua.LValue{lua.LString(m.text[from:to])}
	}
	values := make([]lua.LValue, 0, len(m.captures))
	for _, c := range m.captures {
		switch c.length {
		case openCapture:
			m.l.RaiseError("the pattern %s begins a capture that it does not end", cited(m.pattern))
		case positionCapture:
			values = append(values, lua.LNumber(c.start+1))
		default:
			values = append(values, lua.LString(m.text[c.start:c.start+c.length]))
		}
	}
	return values
}

// next finds the first match at start or after it.
func (m *matcher) next(start int, anchored bool) (from, to int, found bool) {
	for from = start; from <= len(m.text); from++ {
		if to = m.at(from); to >= 0 {
			return from, to, true
		}
		if anchored {
			break
		}
	}
	return 0, 0, false
}
