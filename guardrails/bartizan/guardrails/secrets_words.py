"""Words by which names and values are told."""


def words(text: str) -> frozenset[str]:
    """Returns the words of a text."""
    return frozenset(text.split())


OF_A_KEY = words("""
access account acct admin api app application auth authorization bot client cloud connection
consumer deploy deployment encrypt encryption function functions gateway hash hmac host
integration jwt license live master personal platform private prod production rest root salt sas
secret secretkey server service session sessions shared signature signing storage subscription
super symmetric sync system user vault webhook write adafruit airtable algolia alibaba alpaca
amplitude anthropic artifactory asana assemblyai atlassian aws azure baseten bing bitbucket
braintree brave brevo bugsnag cerebras checkly chroma claude cloudflare cloudinary codecov
cohere coinbase confluent contentful databricks datadog dd deepgram deepseek discord dropbox
elastic elevenlabs etsy exa facebook fastly figma finnhub firebase fireworks flickr freshdesk
gcp gemini ghost gitea github gitlab giphy google gpt grafana groq heroku honeycomb hubspot
huggingface ibm infura intercom jenkins jira kagi kraken kucoin langchain langfuse langsmith
launchdarkly linear linode logfire lob looker mailchimp mailgun mapbox maps mattermost
messagebird mistral mixpanel mongo mongodb netlify newrelic newsapi notion npm nvidia nytimes
okta openai openrouter openweather openweathermap opsgenie pagerduty paypal perplexity pinecone
plaid posthog postman postmark qdrant rapidapi razorpay replicate resend sagemaker sendbird
sendgrid sendinblue sentry serp serpapi serper shippo shodan shopify slack snyk sonar spotify
square squarespace stability statsig stripe sumo supabase tavily telegram together travis trello
twilio twitch twitter typeform uber unsplash vercel virustotal wandb weather weaviate wolfram
xai yandex youtube zapier zendesk zoom
""")
"""`key` alone says nothing: these words before it do."""

NOT_BEFORE = words("""
public pub next prev previous page paging pagination continuation cursor csrf xsrf bos eos eot
pad unk mask stop special num number max min total input output prompt completion cached
reasoning per image audio text video first last each sync delta resume sample foreign primary
partition sort bucket cache idempotency dedup index idx map dict hot natural sequence schema no
without missing invalid design has is needs requires require use uses enable disable show hide
forgot reset change lock cancellation cancel anti count shard push device by pass
""")
"""Before `token` and `key`: what follows is for everybody, or no such token."""

NOT_AFTER = words("""
id ids name names type types count counts length len size sizes limit limits budget usage used
url urls uri uris endpoint file files filename path paths dir folder field fields label hint
prompt policy policies expiry expires expiration expired expire ttl age lifetime timeout at on
in until rotation rotated rotate hash hashed digest fingerprint algorithm algo alg format
formats pattern regex validator validation valid invalid required optional enabled disabled
manager provider store reset change changed update updated forgot strength score ref refs
reference arn version versions status state scope scopes audience issuer index position offset
param params parameter header headers prefix suffix placeholder description help text title
message error errors handler helper class func function method factory generator encoder decoder
per rate cost price logprobs probability embedding window input output counter bucket environ
var variable column table source scheme mode kind owner date created engine backend mount mounts
namespace selector map mapping list sharing role username group groups ring board word words
stroke press pressed down up frame code codes pair pairs stone vault alias encode decode
encoding decoding get strip split replace join startswith endswith lower upper append check
verify
""")
"""After `token` and `password`: what follows is about one, and none itself."""

NEVER = words("""
password passwd passwort pass pwd pw passphrase passcode secret secrets token tokens key apikey
api_key api-key api.key credential credentials creds auth bearer basic access_token auth_token
mypassword my_password my-password mysecretpassword my-secret-pw your_password changeme
change_me change-me changeit example sample test testing tests demo dummy fake foo bar baz qux
foobar none null nil true false yes no undefined default empty required optional string str
bytes int text user username admin administrator root guest anonymous redacted hidden masked
removed filtered private public todo tbd placeholder value unknown missing invalid valid
incorrect correct expired revoked wrong encrypted disabled enabled postgres postgresql mysql
mariadb mongo mongodb redis rabbitmq localhost docker minio elastic neo4j server database
hostname
""")
"""What stands where a secret will be."""

SHORT = words("""
key api app dev the for not new old tmp env var url run job web bot log sql pod aws gcp prd stg
dns sha amz utf iso tok vec max min dim get set lib obj cfg ptr ref dll str int has use add del
arg fmt src dst msg doc row col num val idx len cmd ctx req res
""")
"""Words of three letters that names are made of."""

FOLLOWERS = {
    "a": frozenset("bcdgiklmnprstuvwyz"),
    "b": frozenset("aeiloruy"),
    "c": frozenset("aehiklortu"),
    "d": frozenset("aeioru"),
    "e": frozenset("acdefgilmnpqrstvwxy"),
    "f": frozenset("aefiloru"),
    "g": frozenset("aehilnoru"),
    "h": frozenset("aeiotu"),
    "i": frozenset("abcdefglmnorstvz"),
    "j": frozenset("aeou"),
    "k": frozenset("eis"),
    "l": frozenset("adeilosuy"),
    "m": frozenset("aeiopsuy"),
    "n": frozenset("acdegikostuy"),
    "o": frozenset("bcdfgklmnoprstuvw"),
    "p": frozenset("aehiloprstu"),
    "q": frozenset("u"),
    "r": frozenset("acdegikmnostuvy"),
    "s": frozenset("acehikmnopstuwy"),
    "t": frozenset("acehiorstuwy"),
    "u": frozenset("abdegilmnprst"),
    "v": frozenset("aeio"),
    "w": frozenset("aehinos"),
    "x": frozenset("t"),
    "y": frozenset("eo"),
}
"""What often follows a letter in words; in random letters one time in three."""
