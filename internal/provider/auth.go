// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// accessToken is a token that was given to the manager.
type accessToken struct {
	kind, value string
	expiry      time.Time
}

// authenticate adds the header that a template's credentials make.
func (c *Clients) authenticate(ctx context.Context, q *question, call call, header http.Header) error {
	basic, grant := call.authentication.BasicAuth, call.authentication.OAuth2
	switch {
	case basic != nil && grant != nil:
		return misconfigured("authentication has to be one of basicAuth and oauth2")
	case basic != nil:
		pair := basic.Username + ":" + basic.Password
		q.conceal(basic.Password, pair)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case grant != nil:
		given, err := c.token(ctx, q, call, *grant)
		if err != nil {
			return err
		}
		q.conceal(given.value)
		header.Set("Authorization", given.kind+" "+given.value)
	}
	return nil
}

// token returns an access token by the client credentials grant (RFC 6749, 4.4). One is used for as long as it is valid: a server of
// tokens is not asked at every measurement. One that does not say for how long is used once.
func (c *Clients) token(ctx context.Context, q *question, call call, grant rolloutsv1beta1.OAuth2) (accessToken, error) {
	q.conceal(grant.ClientSecret)
	text, err := json.Marshal(grant)
	if err != nil {
		return accessToken{}, misconfigured("oauth2 is no JSON")
	}
	key, now := sha256.Sum256(text), c.options.Now()
	c.lock.Lock()
	known, ok := c.tokens[key]
	c.lock.Unlock()
	if ok && now.Add(30*time.Second).Before(known.expiry) {
		return known, nil
	}
	address, err := parsed(grant.TokenURL)
	if err != nil {
		return accessToken{}, err
	}
	call.authentication, call.header, call.sign = rolloutsv1beta1.Authentication{}, nil, nil
	client, err := c.client(ctx, q, call)
	if err != nil {
		return accessToken{}, err
	}
	config := clientcredentials.Config{ClientID: grant.ClientID, ClientSecret: grant.ClientSecret, TokenURL: address.String(), Scopes: grant.Scopes}
	given, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		e := classified(err, address.Host)
		e.Message = "asking for a token"
		return accessToken{}, e
	}
	fresh := accessToken{given.Type(), given.AccessToken, given.Expiry}
	c.lock.Lock()
	defer c.lock.Unlock()
	for old, t := range c.tokens { // those of templates and Secrets that are no more
		if t.expiry.Before(now) {
			delete(c.tokens, old)
		}
	}
	if !fresh.expiry.IsZero() {
		c.tokens[key] = fresh
	}
	return fresh, nil
}

// forget drops tokens that a provider does not accept any more.
func (c *Clients) forget(grant *rolloutsv1beta1.OAuth2) {
	if grant == nil {
		return
	}
	if text, err := json.Marshal(grant); err == nil {
		c.lock.Lock()
		delete(c.tokens, sha256.Sum256(text))
		c.lock.Unlock()
	}
}
