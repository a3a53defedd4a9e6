package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// guard decides which requests are answered.
type guard struct {
	hosts   []string
	token   string
	cookie  string // its name. Cookies do not tell the ports of a host apart, so each handler has its own.
	session string // the value of the cookie of those who have entered the token
}

func newGuard(opts *Options) *guard {
	g := &guard{cookie: "samepage-" + rand.Text()[:8], session: rand.Text()}
	if opts != nil {
		g.token = opts.Token
		for _, h := range opts.Hosts {
			g.hosts = append(g.hosts, strings.ToLower(h))
		}
	}
	return g
}

// policy allows the page only what comes with it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// check refuses requests that a page from elsewhere has made.
func (g *guard) check(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hurry(w)
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // with less, the form would have no Origin
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !g.allows(r.Host):
			refuse(w, "the host name %q is not allowed here: use an IP address or localhost, or add the name to Options.Hosts", r.Host)
		case !own(r):
			refuse(w, "the request comes from a page of another site")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, format string, args ...any) {
	http.Error(w, fmt.Sprintf(format, args...), http.StatusForbidden)
}

// allows says whether a request may be sent to host, which can have a port. Nobody can make an IP
// address point elsewhere. So only names are refused.
func (g *guard) allows(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return slices.Contains(g.hosts, AnyHost) || host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(g.hosts, host)
}

// own says whether a request was made by the page itself, by the user, or by a program that is no
// browser. A browser says so in two headers. Who follows a link to the page comes from elsewhere.
func own(r *http.Request) bool {
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	return r.URL.Path == "/" && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// equal compares in a time that does not depend on where a and b differ.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// trusted says whether the client knows the token, if there is one.
func (g *guard) trusted(r *http.Request) bool {
	if g.token == "" {
		return true
	}
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return equal(t, g.token)
	}
	for _, c := range r.CookiesNamed(g.cookie) {
		if equal(c.Value, g.session) {
			return true
		}
	}
	return false
}

// api serves only those who know the token.
func (g *guard) api(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.trusted(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
			return
		}
		next(w, r)
	})
}

// page serves the page, or a form for the token.
func (g *guard) page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("token"):
			g.enter(w, r, r.URL.Query().Get("token"))
		case !g.trusted(r):
			g.ask(w, "")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// login takes the token from the form.
func (g *guard) login(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(sendTime)) // as in hurry
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	g.enter(w, r, r.PostFormValue("token"))
}

// enter gives a client that knows the token a cookie, and sends it to the page.
func (g *guard) enter(w http.ResponseWriter, r *http.Request, token string) {
	if g.token != "" && !equal(token, g.token) {
		g.ask(w, "This is not the token.")
		return
	}
	if g.token != "" {
		// Without a path the cookie belongs to the prefix below which the handler is mounted.
		http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.session, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	}
	// http.Redirect would make a path of it that lacks the prefix.
	w.Header().Set("Location", "./")
	w.WriteHeader(http.StatusSeeOther)
}

// ask shows a form for the token.
func (g *guard) ask(w http.ResponseWriter, note string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintf(w, form, note)
}

const form = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>samepage</title>
<link rel="icon" href="page/icon.svg">
<link rel="stylesheet" href="page/style.css">
<form class="login" method="post" action="./">
<h1>samepage</h1>
<p role="alert">%s</p>
<label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Show</button>
</form>
`
