package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"samepage/internal/ipctest"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	name string
	c    *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T, dir, name string) *authority {
	a := &authority{t: t, dir: dir, name: name}
	a.sign(name, time.Hour)
	return a
}

// file is the file with its own certificate.
func (a *authority) file() string { return filepath.Join(a.dir, a.name+".pem") }

// sign makes a certificate and its key. The first one is that of the authority.
func (a *authority) sign(name string, valid time.Duration) (cert, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ipctest.NoErr(a.t, err)
	a.n++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if a.c == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		a.c, a.key = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.c, &k.PublicKey, a.key)
	ipctest.NoErr(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	ipctest.NoErr(a.t, err)
	cert, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	ipctest.NoErr(a.t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ipctest.NoErr(a.t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}

// With certificates the server and the bridges know each other. Each mistake has an error that says
// what to do, at once.
func TestCertificates(t *testing.T) {
	dir := ipctest.Dir(t)
	ours, others := newAuthority(t, dir, "ours"), newAuthority(t, dir, "others")
	cert, key := ours.sign("server", time.Hour)
	mine, myKey := ours.sign("robot", time.Hour)
	old, oldKey := ours.sign("old", -time.Hour)
	foreign, foreignKey := others.sign("stranger", time.Hour)
	tell := func(Event) {}
	nc, stop, err := (&Link{Serve: "127.0.0.1:0", CA: ours.file(), Cert: cert, Key: key, Tell: tell}).Dial(t.Context())
	ipctest.NoErr(t, err)
	defer stop()
	at := ""
	for _, u := range nc.Servers() {
		at = u
	}
	oldServer, stopOld, err := (&Link{Serve: "127.0.0.1:0", Cert: old, Key: oldKey, Tell: tell}).Dial(t.Context())
	ipctest.NoErr(t, err)
	defer stopOld()
	for _, c := range []struct {
		what string
		l    Link
		want string // in the error; empty: it connects
	}{
		{"all is right", Link{URL: at, CA: ours.file(), Cert: mine, Key: myKey}, ""},
		{"no certificate", Link{URL: at, CA: ours.file()}, "the server wants a certificate: --cert and --key"},
		{"a certificate of another authority", Link{URL: at, CA: ours.file(), Cert: foreign, Key: foreignKey}, "the server does not accept the certificate --cert " + foreign},
		{"an expired certificate", Link{URL: at, CA: ours.file(), Cert: old, Key: oldKey}, "the server does not accept the certificate --cert " + old},
		{"no authority", Link{URL: at, Cert: mine, Key: myKey}, "the certificate of the server needs --ca"},
		{"another authority", Link{URL: at, CA: others.file(), Cert: mine, Key: myKey}, "the certificate of the server is not signed by --ca " + others.file()},
		{"an expired server", Link{URL: oldServer.Servers()[0], CA: ours.file()}, "the certificate of the server has expired"},
		{"another host", Link{URL: strings.Replace(at, "127.0.0.1", "localhost", 1), CA: ours.file(), Cert: mine, Key: myKey}, "the certificate of the server is for another host"},
		{"no file", Link{URL: at, CA: filepath.Join(dir, "none")}, "none"},
	} {
		t.Run(c.what, func(t *testing.T) { dialed(t, &c.l, c.want) })
	}
}

// dialed connects, and wants success, or an error with these words.
func dialed(t *testing.T, l *Link, want string) {
	t.Helper()
	l.Tell = func(e Event) { t.Log(e) }
	_, stop, err := l.Dial(t.Context())
	switch {
	case err == nil:
		stop()
		if want != "" {
			t.Errorf("it connects, want %q", want)
		}
	case want == "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret"):
		t.Errorf("%v, want %q", err, want)
	}
}

// A server wants a password.
func TestPassword(t *testing.T) {
	s := newServer(t, server.Options{Username: "robot", Password: "secret"})
	for user, want := range map[string]string{"robot:secret@": "", "robot:secrets@": "the server wants credentials", "": "the server wants credentials"} {
		dialed(t, &Link{URL: fmt.Sprintf("nats://%s127.0.0.1:%d", user, s.o.Port)}, want)
	}
}

// creds makes a file with the credentials of a user.
func creds(t *testing.T, dir, name string, account nkeys.KeyPair, valid time.Duration) string {
	t.Helper()
	user, err := nkeys.CreateUser()
	ipctest.NoErr(t, err)
	public, err := user.PublicKey()
	ipctest.NoErr(t, err)
	c := jwt.NewUserClaims(public)
	if valid != 0 {
		c.Expires = time.Now().Add(valid).Unix()
	}
	token, err := c.Encode(account)
	ipctest.NoErr(t, err)
	seed, err := user.Seed()
	ipctest.NoErr(t, err)
	text, err := jwt.FormatUserConfig(token, seed)
	ipctest.NoErr(t, err)
	file := filepath.Join(dir, name)
	ipctest.NoErr(t, os.WriteFile(file, text, 0o600))
	return file
}

// A server knows the users of an account by their credentials.
func TestCreds(t *testing.T) {
	dir := ipctest.Dir(t)
	operator, err := nkeys.CreateOperator()
	ipctest.NoErr(t, err)
	operatorKey, err := operator.PublicKey()
	ipctest.NoErr(t, err)
	account, err := nkeys.CreateAccount()
	ipctest.NoErr(t, err)
	accountKey, err := account.PublicKey()
	ipctest.NoErr(t, err)
	token, err := jwt.NewAccountClaims(accountKey).Encode(operator)
	ipctest.NoErr(t, err)
	all := new(server.MemAccResolver)
	ipctest.NoErr(t, all.Store(accountKey, token))
	other, err := nkeys.CreateAccount()
	ipctest.NoErr(t, err)
	s := newServer(t, server.Options{TrustedKeys: []string{operatorKey}, AccountResolver: all})
	bad := filepath.Join(dir, "bad")
	ipctest.NoErr(t, os.WriteFile(bad, []byte("secret"), 0o600))
	stranger := creds(t, dir, "stranger", other, 0)
	for _, c := range []struct{ what, file, want string }{
		{"all is right", creds(t, dir, "robot", account, time.Hour), ""},
		{"no credentials", "", "the server wants credentials: --creds"},
		{"of another account", stranger, "the server does not know the user of --creds " + stranger},
		{"expired", creds(t, dir, "old", account, -time.Hour), "have expired at 2"},
		{"not credentials", bad, "--creds " + bad},
		{"no file", filepath.Join(dir, "none"), "none"},
	} {
		t.Run(c.what, func(t *testing.T) { dialed(t, &Link{URL: s.url(), Creds: c.file}, c.want) })
	}
	l := &Link{URL: s.url(), Creds: stranger, Tell: func(Event) {}}
	if _, _, err := l.Dial(t.Context()); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}
