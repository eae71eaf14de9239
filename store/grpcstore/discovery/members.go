package discovery

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// errNoAddress is what is wrong with a strict endpoint of which there is none.
var errNoAddress = errors.New("name has no address")

// build makes the members of endpoints: those that go on being there keep their
// connections. It returns the status of addresses that are looked up, and of
// those that cannot be dialed.
func (s *Source) build(endpoints []Endpoint, profiles []profile) []Status {
	b := builder{source: s, used: map[connKey]bool{}}
	for i := range endpoints {
		b.endpoint(&endpoints[i], profiles[i])
	}
	b.unread()
	for k, c := range s.conns {
		if !b.used[k] {
			c.retire()
			s.retired[k] = c
			delete(s.conns, k)
		}
	}
	if !slices.EqualFunc(b.members, s.Members(), sameMember) {
		s.members.Store(&b.members)
	}
	s.forgetTLS()
	if err := s.reap(); err != nil {
		s.opts.Logger.Warn("close connection of an endpoint that is gone", slog.Any("err", err))
	}
	return b.status
}

func sameMember(a, b fanout.Member) bool {
	x, ok := a.Store.(absent)
	if y, also := b.Store.(absent); ok || also {
		return ok && also && a.Name == b.Name && a.Group == b.Group && a.Strict == b.Strict && sameError(x.err, y.err)
	}
	return a == b
}

// forgetTLS drops the files that no connection is made with any more.
func (s *Source) forgetTLS() {
	for p := range s.tls {
		used := false
		for k := range s.conns {
			own := k.profile
			own.compression = ""
			used = used || own == p
		}
		if !used {
			delete(s.tls, p)
		}
	}
}

// builder makes members.
type builder struct {
	source  *Source
	members []fanout.Member
	used    map[connKey]bool
	status  []Status
}

// endpoint adds the members of one.
func (b *builder) endpoint(e *Endpoint, p profile) {
	targets, known := []target{{dial: e.Address}}, true
	st := Status{Origin: e.Address, Checked: time.Now()}
	l := b.source.lookups[e.Address]
	if l != nil {
		targets, known, st.Checked, st.Err = l.answer, l.known, l.checked, l.err
	}
	if e.Strict && known && len(targets) == 0 && st.Err == nil {
		st.Err = &Error{Op: "look up", Origin: e.Address, Err: errNoAddress}
	}
	if len(targets) == 0 && (e.Strict || !known) {
		a := absent{e.Address + "@nowhere", st.Err}
		b.add(e, a.name, a)
	}
	for _, t := range targets {
		if err := b.target(e, p, t, targets); err != nil && st.Err == nil {
			st.Err = err
		}
	}
	st.Endpoints = len(targets)
	if l != nil || st.Err != nil {
		b.status = append(b.status, st)
	}
}

// unread adds what stands for the endpoints of files that never could be read.
func (b *builder) unread() {
	add := func(path string, err error) {
		b.members = append(b.members, fanout.Member{Name: path, Store: absent{path, &Error{Op: "read", Origin: path, Err: err}}})
	}
	if c := b.source.config; c != nil && !c.good {
		add(c.path, c.err)
	}
	for _, path := range slices.Sorted(maps.Keys(b.source.files)) {
		if f := b.source.files[path]; !f.good {
			add(path, f.err)
		}
	}
}

// target adds the member behind one of the targets of an endpoint; one that
// cannot be asked if it cannot be dialed.
func (b *builder) target(e *Endpoint, p profile, t target, all []target) error {
	served, text, err := e.served()
	k := connKey{name: memberName(e, t, all), target: t, profile: p, serviceConfig: e.ServiceConfig, served: text}
	var c *conn
	if err == nil {
		b.used[k] = true
		c, err = b.source.conn(&k, served)
	}
	if err != nil {
		err = &Error{Op: "dial", Origin: e.Address, Err: err}
		b.add(e, k.name, absent{k.name, err})
		return err
	}
	b.add(e, k.name, c.member)
	return nil
}

func (b *builder) add(e *Endpoint, name string, s store.Store) {
	m := fanout.Member{Name: name, Store: s, Strict: e.Strict}
	if e.Group {
		m.Group = e.Address
	}
	b.members = append(b.members, m)
}

// memberName names the member behind a target. An address names itself, but for
// one that names a group. Hosts that share an address are told apart.
func memberName(e *Endpoint, t target, all []target) string {
	if t.authority == "" && t.dial == e.Address && !e.Group {
		return e.Address
	}
	name := e.Address + "@" + t.dial
	shared := func(o target) bool { return o.dial == t.dial && o.authority != t.authority }
	if slices.ContainsFunc(all, shared) {
		name += " (" + t.authority + ")"
	}
	return name
}
