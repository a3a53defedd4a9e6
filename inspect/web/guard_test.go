package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// jar keeps all cookies.
type jar map[string]*http.Cookie

func (j jar) SetCookies(_ *url.URL, all []*http.Cookie) {
	for _, c := range all {
		j[c.Name] = c
	}
}

func (j jar) Cookies(*url.URL) (all []*http.Cookie) {
	for _, c := range j {
		all = append(all, c)
	}
	return all
}

// Names that somebody else can give to this machine are refused.
func TestHost(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(&Options{Hosts: []string{"Box.example"}})
	for _, c := range []struct {
		host string
		ok   bool
	}{
		{"127.0.0.1:7070", true},
		{"127.0.0.1", true},
		{"localhost:7070", true},
		{"LOCALHOST", true},
		{"localhost.", true},
		{"samepage.localhost:1", true},
		{"[::1]:7070", true},
		{"[::1]", true},
		{"192.168.7.7:80", true},
		{"box.example:7070", true},
		{"[fe80::1%25eth0]:7070", true},
		{"evil.example", false},
		{"evil.example:7070", false},
		{"127.0.0.1.evil.example", false},
		{"localhost.evil.example", false},
		{"notlocalhost", false},
		{"sub.box.example", false},
		{"", false},
		{":7070", false},
		{"2130706433", false},
		{"0x7f.1", false},
	} {
		for _, p := range []string{"/", "/page/style.css", "/api/state"} {
			r := httptest.NewRequest(http.MethodGet, p, nil)
			r.Host = c.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if (w.Code == 200) != c.ok || !c.ok && w.Code != 403 {
				t.Errorf("Host %q: %s gives %d", c.host, p, w.Code)
			}
		}
	}
}

// A page of another site gets nothing. A link to the page works.
func TestOtherSites(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(nil)
	for _, c := range []struct {
		path   string
		header []string
		ok     bool
	}{
		{"/api/state", nil, true},
		{"/api/state", []string{"Origin", here}, true},
		{"/api/state", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"/api/state", []string{"Sec-Fetch-Site", "none"}, true},
		{"/api/state", []string{"Origin", "http://evil.example"}, false},
		{"/api/state", []string{"Origin", "http://127.0.0.1:8080"}, false},
		{"/api/state", []string{"Origin", "null"}, false},
		{"/api/state", []string{"Origin", "http://\x00"}, false},
		{"/api/state", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"/api/state", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"/api/state", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, false},
		{"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, true},
		{"/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, false},
	} {
		w := get(h, here+c.path, c.header...)
		if (w.Code == 200) != c.ok || !c.ok && w.Code != 403 {
			t.Errorf("%s with %q: %d", c.path, c.header, w.Code)
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none';") || strings.Contains(p, "unsafe") || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("headers: %v", w.Header())
		}
	}
}

// With a token nobody else sees anything.
func TestToken(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(&Options{Token: "correct horse"})
	for _, c := range []struct {
		header []string
		code   int
	}{
		{nil, 401},
		{[]string{"Authorization", "Bearer correct horse"}, 200},
		{[]string{"Authorization", "Bearer correct hors"}, 401},
		{[]string{"Authorization", "Bearer "}, 401},
		{[]string{"Authorization", "Basic correct horse"}, 401},
		{[]string{"Cookie", "samepage=correct horse"}, 401},
	} {
		for _, p := range []string{"/api/state", "/"} {
			if w := get(h, here+p, c.header...); w.Code != c.code {
				t.Errorf("%s with %q: %d", p, c.header, w.Code)
			}
		}
	}
	login := func(token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, here+"/", strings.NewReader(url.Values{"token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := login("wrong"); w.Code != 401 || len(w.Result().Cookies()) != 0 {
		t.Errorf("a wrong token: %d %v", w.Code, w.Result().Cookies())
	}
	w := login("correct horse")
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./" || len(cookies) != 1 || !cookies[0].HttpOnly ||
		cookies[0].SameSite != http.SameSiteStrictMode || strings.Contains(cookies[0].Value, "correct") {
		t.Fatalf("the right token: %d %v", w.Code, w.Header())
	}
	if w := get(h, here+"/api/state", "Cookie", cookies[0].Name+"="+cookies[0].Value); w.Code != 200 {
		t.Errorf("with the cookie: %d", w.Code)
	}
	other := Handler(&Options{Token: "correct horse"})
	if w := get(other, here+"/api/state", "Cookie", cookies[0].Name+"="+cookies[0].Value); w.Code != 401 {
		t.Errorf("the cookie of another handler: %d", w.Code)
	}
}
