// Gets a token as Go users do, with net/http, and verifies it with golang-jwt and keyfunc.
//
// Reads on stdin what `grantd dev --format json` prints; prints the verified token's parts as JSON.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

type daemon struct {
	Issuer        string `json:"issuer"`
	TokenEndpoint string `json:"token_endpoint"`
	JwksURI       string `json:"jwks_uri"`
	CAFile        string `json:"ca_file"`
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	Resource      string `json:"resource"`
}

type answer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
}

func main() {
	log.SetFlags(0)
	var grantd daemon
	if err := json.NewDecoder(os.Stdin).Decode(&grantd); err != nil {
		log.Fatal(err)
	}
	if err := run(grantd); err != nil {
		log.Fatal(err)
	}
}

func run(grantd daemon) error {
	ca, err := os.ReadFile(grantd.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate", grantd.CAFile)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}}

	token, err := fetch(client, grantd)
	if err != nil {
		return err
	}
	keys, err := jwks(client, grantd.JwksURI)
	if err != nil {
		return err
	}
	parsed, err := jwt.Parse(token.AccessToken, keys.Keyfunc,
		jwt.WithIssuer(grantd.Issuer),
		jwt.WithAudience(grantd.Resource),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithValidMethods([]string{"ES256", "ES384", "EdDSA", "RS256", "PS256"}),
	)
	if err != nil {
		return err
	}
	if parsed.Header["typ"] != "at+jwt" {
		return fmt.Errorf("typ is %v", parsed.Header["typ"])
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"header": parsed.Header, "claims": parsed.Claims, "expires_in": token.ExpiresIn,
	})
}

func fetch(client *http.Client, grantd daemon) (answer, error) {
	var token answer
	response, err := client.PostForm(grantd.TokenEndpoint, url.Values{
		"grant_type":    {"client_credentials"},
		"resource":      {grantd.Resource},
		"client_id":     {grantd.ClientID},
		"client_secret": {grantd.ClientSecret},
	})
	if err != nil {
		return token, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return token, err
	}
	if response.StatusCode != http.StatusOK {
		return token, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	if err := json.Unmarshal(body, &token); err != nil {
		return token, err
	}
	if token.TokenType != "Bearer" {
		return token, fmt.Errorf("token_type is %q", token.TokenType)
	}
	return token, nil
}

func jwks(client *http.Client, uri string) (keyfunc.Keyfunc, error) {
	return keyfunc.NewDefaultOverrideCtx(context.Background(), []string{uri}, keyfunc.Override{Client: client})
}
