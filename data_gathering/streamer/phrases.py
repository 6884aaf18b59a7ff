"""What the scripted player can say: a small grammar, as data.

`[a|b|]` chooses one of the alternatives (nesting allowed, empty allowed), `<rule>` expands another rule, `{slot}` is
filled by the caller: an alternative that names an empty slot is passed over, `{slot?}` may be empty. Read by
grammar.py. Everyday words, lower case, no punctuation but the apostrophe.

What is about to be done is named with "the" ("now the red pillar"), what is seen is not ("a red pillar on the left");
"then", "next" and "after this" belong to plans; "right" is always a side.
"""

# What `<rule>` stands for.
PARTS = {
    "open": "okay|alright|so|now|well|okay so|and now|alright so|oh|hm|yeah||||",
    "now": "now|okay|so|and now|||||",
    "later": "after this|then|next|and then|after that|next up",
    "will": (
        "let's|i'm going to|i'm gonna|i want to|let me|time to|i think i'll|we should|i'd like to|"
        "i'll|we're going to|how about we|i need to|gonna"
    ),
    "wish": "let's|i want to|we can|we should|i'll|i'm going to|i'd like to",
    "please": "can you|could you|please|hey|hey please|would you|can you please|i want you to|you should|you could",
    "go": (
        "go to|walk to|head to|head over to|visit|run over to|make my way to|check out|go see|move to|"
        "walk over to|get to"
    ),
    "chop": "chop|cut down|chop down|take down|cut|get some wood from|go for|fell|collect wood from",
    "dig": "dig|dig up|dig into|shovel|clear|take|collect|get",
    "mine": "mine|break|dig|get|chip away at|knock out|collect",
    "pick": "pick|grab|collect|pick up|take|get",
    "some": "some of|a bit of|a little of|some more of|a few blocks of|",
    "see": "i see|there's|look there's|i can see|oh there's",
    "fun": "woo|haha|this is [fun|silly|weird]|look at me go|i do this all day",
    "tada": "<nice> [moves|footwork]|that was [fun|silly|great]|okay enough of that|<done>|ten out of ten",
    "nice": "nice|great|cool|sweet|perfect|lovely|good|excellent|awesome|beautiful",
    "done": (
        "there we go|got it|done|that's it|and that's done|easy|there it is|boom|yes|here we go|"
        "that worked"
    ),
    "oops": "oops|whoops|oh no|ah|my bad|hang on|wait|oh come on|wait no|hold on",
    "think": "i think|i guess|i feel like|maybe|i'm pretty sure|honestly|to be honest|you know|actually",
    "folks": "guys|everyone|chat|my friends|folks|people",
    "soon": "in a minute|in a second|later|soon|one day|next time|tonight",
    "food": "pizza|pasta|soup|toast|ramen|pancakes|a sandwich|rice|curry|noodles|an apple|cheese",
    "drink": "coffee|tea|water|juice|a soda|hot chocolate|lemonade",
    "pet": "cat|dog|rabbit|hamster|bird|puppy|kitten",
    "family": "brother|sister|mom|dad|friend|roommate|uncle|cousin|neighbour",
    "when": "yesterday|last night|this morning|last week|the other day|on sunday|a while ago|last summer",
    "very": "really|so|pretty|super|kind of|very|quite",
    "hotness": "cold|hot|rainy|sunny|windy|cloudy|foggy|warm",
    "job": "house|cabin|tower|bridge|castle|farm|garden|roof|fence|barn|shed|treehouse",
}

# -- errands ---------------------------------------------------------------------------------------------------------
# {it} names the target, {n} is a number; each entry alone tells the errand from all others.

# What to do, after "let's" or "can you".
DOING = {
    "chop": "<chop> {it}|[go|walk over] and <chop> {it}|get {n} logs from {it}",
    "sand": "<dig> <some> {it}|go and <dig> <some> {it}|dig {n} blocks of {it}",
    "dirt": "<dig> <some> {it}|go and <dig> <some> {it}|dig {n} blocks of {it}",
    "stone": "<mine> <some> {it}|go and <mine> <some> {it}|mine {n} blocks of {it}",
    "flower": "<pick> {it}|[go|walk over] and <pick> {it}",
    "pillar": "<go> {it}|<go> {it} [now|again|and take a look]",
    "orbit": (
        "[circle|circle around|walk around|go around|walk in a circle around] {it}|"
        "[see|look at] {it} from all sides"
    ),
    "climb": "climb {it}|[go up|jump up|hop up|get on top of|run up] {it}",
    "place": (
        "[place|put down|lay|set down] {n} blocks [here||in a row|in a line]|"
        "build [a little wall|a small wall|a wall] {n} blocks [long|wide]|put {n} blocks [here|down]"
    ),
    "tower": (
        "[build|make|stack] [a|a tiny|a small|a little] tower|stack two blocks on top of each other|"
        "[place|put] one block on [another|another one|top of another]|build a tower two blocks high"
    ),
    "look": "look {it}|[have|take] a [look|quick look] {it}|[check|see] what's {it}",
    "wander": "[walk|wander|go|run] {it} [for a bit|a bit|for a while|]",
    "back": "[walk|go|step|move] backwards [for a bit|a bit||now]|back up [a bit|a little|]",
    "side": (
        "[step|strafe|slide|shuffle] to the {it} [for a bit|a bit||now]|[go|walk|move] sideways to the {it}|"
        "[go|move] sideways {it}"
    ),
    "hop": "jump {n} times [on the spot|for luck|just for fun|]|[do|make] {n} jumps|hop {n} times",
    "spin": (
        "spin [|around|all the way around] to the {it}|do a [spin|full spin|full turn] to the {it}|"
        "turn all the way around to the {it}"
    ),
    "turn": "turn {it} [|now|on the spot]|[make|do] a turn {it}",
}

# The same as a name, in a few words ...
NAMING = {
    "chop": "{it}|{it}|wood from {it}|{n} logs from {it}",
    "sand": "{it}|some of {it}|{n} blocks of {it}",
    "dirt": "{it}|some of {it}|{n} blocks of {it}",
    "stone": "{it}|some of {it}|{n} blocks of {it}",
    "flower": "{it}",
    "pillar": "{it}",
    "orbit": "once around {it}|a circle around {it}|a walk around {it}",
    "climb": "{it}|the top of {it}",
    "place": "{n} blocks [|here|in a row]|a wall of {n}|a row of {n}",
    "tower": "a [|tiny|small|little] tower|two blocks high|a tower of two",
    "look": "a look {it}|a quick look {it}|one look {it}",
    "wander": "a walk {it}|a little walk {it}|a run {it}",
    "back": "backwards|[a few|some] steps backwards|a bit backwards",
    "side": "sideways {it}|[a few|some] steps sideways {it}|sideways to the {it}",
    "hop": "{n} jumps|{n} jumps|{n} [little|big|happy] jumps|{n} hops",
    "spin": "a spin {it}|a full spin {it}|a full turn {it}|one spin {it}",
    "turn": "a turn {it}|one turn {it}",
}

# ... as what is begun ...
BEGINNING = {
    "chop": "[chopping|cutting|cutting down] {it}|getting {it} down",
    "sand": "digging {it}|digging up {it}|taking {it}",
    "dirt": "digging {it}|digging up {it}|taking {it}",
    "stone": "mining {it}|breaking {it}|getting {it}",
    "flower": "picking {it}|getting {it}|taking {it}",
    "pillar": "[going|walking|off|over] to {it}",
    "orbit": "around {it}|[going|walking] around {it}|circling {it}",
    "climb": "up {it}|climbing {it}|jumping up {it}",
    "place": "placing {n} blocks|building a wall of {n}|putting down {n} blocks",
    "tower": "building a tower|stacking two blocks|making a tower",
    "look": "looking {it}|eyes {it}",
    "wander": "walking {it}|going {it}|running {it}",
    "back": "backwards|going backwards|walking backwards|backing up",
    "side": "sideways {it}|going sideways {it}|sliding {it}|strafing {it}",
    "hop": "jumping {n} times|hopping {n} times",
    "spin": "spinning {it}|spinning around to the {it}|spinning to the {it}",
    "turn": "turning {it}|turn {it}",
}

# ... and with a reason.
REASON = {
    "chop": (
        "<open> {it} [looks good|is mine now|has to go|is coming down]|<open> we need [wood|logs|some wood|"
        "more wood] so {it}|<open> [axe out|grab the axe|getting my axe|where's my axe] <will> <chop> {it}|"
        "<open> i see {it} <will> <chop> it"
    ),
    "sand": (
        "<open> we need [sand|glass] so <will> [go to|dig] {it}|<open> [sand time|it's sand time] <will> <go> {it}|"
        "<open> <will> [grab the shovel|take my shovel] and <dig> <some> {it}"
    ),
    "dirt": (
        "<open> we need [dirt|soil|some dirt for the garden] so <will> [go to|dig] {it}|"
        "<open> <will> [grab the shovel|take my shovel] and <dig> <some> {it}"
    ),
    "stone": (
        "<open> [pickaxe out|pickaxe time|mining time] <will> <go> {it}|"
        "<open> we need [stone|rock|stone for the <job>] so <will> <mine> {it}|"
        "<open> <will> [grab the pickaxe|take my pickaxe] and <mine> <some> {it}"
    ),
    "flower": (
        "<open> {it} [is so pretty|looks lovely|would look great on my table] <will> <pick> it|"
        "<open> [a gift for my <family>|flower time|something for the table] <will> <pick> {it}"
    ),
    "pillar": (
        "<open> {it} [is calling me|it is|i'm coming]|<open> where is {it} <will> <go> it|"
        "<open> i like {it} <will> <go> it"
    ),
    "orbit": "<open> i want to see {it} from all sides|<open> {it} has [another|a] side <will> go around it",
    "climb": (
        "<open> [parkour time|time for some parkour|jumping time] <will> climb {it}|"
        "<open> i want to be up [high|there] so {it}"
    ),
    "place": "<open> [building time|time to build] <will> [place|put down] {n} blocks",
    "tower": "<open> [tower time|time for a tower] two blocks high|<open> we need a tower",
    "look": "<open> what's {it} <will> look",
    "wander": (
        "<open> let's see what's {it} <will> [walk|wander|go] there|"
        "<open> <will> [stretch my legs|explore] and [walk|go] {it}"
    ),
    "back": "<open> [moonwalk time|moonwalking] <will> go backwards",
    "side": "<open> [crab time|like a crab] sideways {it}",
    "hop": "<open> [i feel like jumping|jumping time] {n} times",
    "spin": "<open> [spin time|let's get dizzy] <will> spin to the {it}",
    "turn": "<open> not this way <will> turn {it}",
}

# What is said before an errand, most of it in few words.
ANNOUNCE = {
    kind: (
        f"{NAMING[kind]}|<now> [{NAMING[kind]}]|{BEGINNING[kind]}|<now> [{BEGINNING[kind]}]|"
        f"<open> <will> [{DOING[kind]}]|[{REASON[kind]}]"
    )
    for kind in DOING
}
# What is said during the errand before.
PLAN = {
    kind: f"<later> [{NAMING[kind]}]|<later> it's [{NAMING[kind]}]|<later> <wish> [{DOING[kind]}]" for kind in DOING
} | {
    kind: f"<later> [{NAMING[kind]}]|<later> i [want|need] some {noun}|<later> <wish> [{DOING[kind]}]"
    for kind, noun in {"chop": "wood", "sand": "sand", "dirt": "dirt", "stone": "stone"}.items()
}
# What another person asks for.
REQUEST = {kind: f"<please> [{DOING[kind]}]|[now||hey] [{NAMING[kind]}] please" for kind in DOING}
# What the player says to that, and at the end of it.
ANSWER = (
    "okay [sure|]|sure [thing|]|on it|will do|yes [of course|sure|]|no problem|alright [then|]|"
    "okay i'll do that|as you wish|i can do that|if you say so|good idea"
)
REPORT = {
    "done": "like this|done for you|there you go|is that okay|how is that|here you are|just as you wanted|all done",
    "failed": "sorry i can't|sorry that didn't work|sorry no|i can't do that|i tried [sorry|]|sorry it's too hard",
}

# A tiny thing done on the way, right after this.
WHIM = {
    "hop": "hop|and hop|a [little|quick|] hop|one hop|[quick|little] jump|and jump",
    "left": "[a|one|little|quick] step left|step left|one to the left|left a step",
    "right": "[a|one|little|quick] step right|step right|one to the right|right a step",
    "back": "[a|one|little|quick] step back|step back|back a step",
    "up": "[a|quick|one] glance up|glance up|head up|quickly up",
    "down": "[a|quick|one] glance down|glance down|head down|quickly down",
    "stop": "stop|stop here|and stop|stopping|standing still|stand still|a [little|short|] pause|freeze",
}

# What is said while it is being done (no new information needed) ...
DURING = {
    "walk": (
        "almost there|here we go|i'm on my way|just a few more steps|walking walking|"
        "let me get a bit closer|coming|over here|watch out for the holes|nearly there|"
        "let's go let's go|keep going|not far now|it's just over there|walking over the grass|"
        "[so much|nothing but] grass [to walk on|under my feet]|one foot after another"
    ),
    "chop": (
        "chopping [away|chopping|this log|this tree|wood]|this wood is [hard|tough|good|<very> nice]|"
        "come on [axe|tree]|i like the sound of [this|chopping]|timber|one log after another|"
        "this will be a [lot of planks|nice <job>]|look at [the leaves|that bark|all those leaves]|"
        "axe against [tree|wood]|this tree is coming down|logs from this tree"
    ),
    "sand": (
        "sand gets everywhere|this [sand|] is [like the beach|<very> soft]|dig dig dig|[glass|sandstone|"
        "a sandcastle] [later|soon|would be cool]|so much sand|i love [sand|the beach|digging sand]|"
        "digging [this|yellow|some] sand|the shovel in the sand|[more|soft|yellow] sand"
    ),
    "dirt": (
        "just [dirt|plain dirt|some dirt]|dig dig dig|my hands are [so dirty|a mess]|"
        "we could grow [carrots|potatoes|wheat] here|the garden needs [soil|this]|this is good soil|"
        "dirty work|digging [this|brown|some] dirt|the shovel in the dirt|[more|brown] dirt|"
        "this dirt is <very> [soft|brown]|[so much|a lot of] dirt|[dirt|brown dirt] on my shovel"
    ),
    "stone": (
        "stone is [hard|harder than it looks|heavy]|[mining|breaking] [away|this stone|grey stone]|"
        "come on [stone|pickaxe]|that's a [good|strong|sharp] pickaxe|cobble for the <job>|maybe there's [gold|"
        "iron|a diamond|coal] in there|this [stone|] takes [a moment|a bit longer]|pickaxe against stone|more stone|"
        "this stone is <very> [hard|heavy|grey]|[so much|a lot of] stone|stone after stone"
    ),
    "flower": (
        "where are you little flower|careful now|so pretty|just look at [the colour|that colour|"
        "that|this flower]|gently|come here little flower|picking this flower|"
        "such a [small|pretty|lovely] flower|this flower is <very> [pretty|small]|a flower for my <family>|"
        "i [like|love] this flower"
    ),
    "pillar": (
        "[it's|the pillar is] <very> [tall|bright|big]|who built [these|this|that|this pillar]|what a colour|"
        "i can see it|straight ahead|"
        "[what|such] a [tall|big|bright] pillar|this pillar is made of wool|"
        "straight up to the pillar|the pillar gets [bigger|closer]|closer to the pillar"
    ),
    "orbit": (
        "around [it|the pillar] we go|[walking|going] around the pillar|[sideways|still] around the pillar|"
        "the pillar from this side|all around it|the pillar in the middle"
    ),
    "climb": (
        "jump|up we go|higher|and up|don't look down|one more|careful careful|next step|up up up|"
        "[jumping|climbing] from step to step|up these steps|one more step|these steps are [high|steep]|step by step|"
        "[another|the next] step up|step after step|on to the next step|the steps go up"
    ),
    "place": (
        "one [here|more|block here]|and another [one|block]|like this|[nice|looks] straight|next block|click|"
        "just like that|a bit to the side|block [by|after] block|one more block|the wall gets longer|"
        "building my [little|] wall|a wall of blocks|"
        "another block [for|in] [my|the] wall|this block goes here|block next to block|i have more blocks"
    ),
    "tower": (
        "one block on top|one block below|my little tower|block on block|a tower of blocks|building the tower|"
        "block number two|the [first|second] block|my tower has to be straight|now the tower gets [tall|high]"
    ),
    "look": (
        "hm|nothing [here|there]|what a [view|day|place]|interesting|let's see|oh [i see|look at that]|"
        "just looking [around|]|my eyes are open|a look at this place|"
        "i like to look [around|at things]|[such|what] a view [from here|]"
    ),
    "wander": (
        "la la la|just walking|what a [nice|lovely|beautiful] day|let's see what we find|"
        "nice place|fresh air|walking [over the grass|a bit|along]|just a little walk|"
        "a walk is good for me|i like walking [here|around]|walking makes me hungry"
    ),
    "hop": "jump jump|up and down|hop hop hop|jumping on the spot|another jump|i love jumping|<fun>",
    "back": (
        "[still|slowly] walking backwards|back back back|i can't see behind me|what's behind me|"
        "still going backwards|<fun>"
    ),
    "side": "step by step sideways|sideways like a crab|sliding along|still going sideways|side step side step|<fun>",
    "spin": "round and round|spinning spinning|everything is spinning|all the way around|<fun>",
    "turn": "turning turning|a new view|turning on the spot|i'm turning|still turning|i turn and turn|<fun>",
}

# ... after each thing dug or placed ...
COUNT = "that's {n}|{n}|{n} [already|so far|down|now]|got {n}|number {n}|and {n}"

# ... and at the end.
AFTER = {
    "chop": (
        "<done> [wood|some wood|that's the wood|logs for days|{n} logs]|<nice> [we have wood|wood|"
        "that's a good log|{n} logs]|that tree [had it coming|is done|was tough]|[we have|that's|i have] {n} logs|"
        "that's enough wood [for a <job>|for now]|{n} logs [<nice>|from that tree|]"
    ),
    "sand": (
        "<done> [sand|that's the sand|{n} sand]|<nice> [sand|we have sand|{n} sand]|{n} blocks of [yellow|] sand|"
        "that's enough sand [for some glass|for now|for a castle]|[we have|that's|i have] {n} blocks of sand"
    ),
    "dirt": (
        "<done> [dirt|that's the dirt|{n} dirt]|<nice> [dirt|we have dirt|{n} dirt]|{n} blocks of [brown|] dirt|"
        "that's enough dirt [for the garden|for now]|[we have|that's|i have] {n} blocks of dirt"
    ),
    "stone": (
        "<done> [stone|that's stone|{n} stones]|<nice> [stone|that's stone|solid rock|{n} stones]|"
        "that's enough stone [for a <job>|for now|for a wall]|{n} blocks of [grey|] stone|"
        "[we have|that's|i have] {n} [stones|blocks of stone]"
    ),
    "flower": (
        "<done> [a flower|what a flower|it's mine|my flower|the {flower}]|<nice> [flower|{flower}|it smells good]|"
        "one for [me|my <family>|the table]|picked it|so lovely|picked [the|a|my] {flower}|"
        "[now i have|that's|i got] a {flower}|one {flower} picked"
    ),
    "pillar": (
        "<done> [the {colour} one|{colour}|we made it]|<nice> [{colour} pillar|"
        "the {colour} pillar|pillar]|here it is the {colour} pillar|so this is {colour}|"
        "{colour} is [my favourite|<very> nice|a good colour|not my colour]|"
        "touch the {colour} pillar|this is the {colour} [one|pillar]|here's the {colour} [one|pillar]"
    ),
    "orbit": (
        "<done> [around the {colour} one|all the way around]|that's the {colour} one from all sides|"
        "that was once around the {colour} pillar|{colour} on all sides|the {colour} pillar is {colour} all around|"
        "[enough of|that was] the {colour} pillar"
    ),
    "climb": (
        "<done> [top of the world|we're on top|i'm on top]|<nice> view [from up here|]|"
        "i can see everything [from here|up here]|made it [to the top|all the way up|up the steps]|[look|"
        "see] how high [we are|this is]|up on the steps|on top of the steps"
    ),
    "place": (
        "<done> [a wall|my wall|look at that|{n} blocks]|<nice> [wall|work|and straight]|"
        "that's a [fine|good|solid] wall|i'm [an architect|a builder|<very> proud of this]|"
        "built to last|that's {n} blocks in a row|[that's|all] {n} blocks|my wall is {n} blocks long"
    ),
    "tower": (
        "<done> [a tower|my tower|two blocks]|<nice> [tower|little tower]|tallest tower in [town|"
        "the world]|look how tall it is|it's two blocks [high|on top of each other]|now one block is on another"
    ),
    "look": (
        "<nice> [view|day]|okay nothing [special|new]|well that was [interesting|nothing]|[seen|"
        "saw] it all|enough looking"
    ),
    "wander": (
        "okay that's far enough|that's enough walking|so this is [nice|here]|alright here we are|"
        "good spot|that was a [nice|little|good] walk"
    ),
    "hop": "<done> {n} jumps|that's {n} [jumps|times]|{n} jumps [<nice>|done]|enough jumping|jumped {n} times|<tada>",
    "back": "enough backwards|that was backwards|<done> backwards|<nice> moonwalk|far enough back|<tada>",
    "side": "enough sideways|far enough to the {it}|that was sideways [{it}|]|<done> [to the {it}|sideways]|<tada>",
    "spin": (
        "wow i'm dizzy|<done> all the way around|that was a [full turn|spin] [to the {it}|]|[so|now i'm] dizzy|"
        "enough spinning|<tada>"
    ),
    "turn": "<done> turned [{it}|]|that's better|a new [view|side]|turned {it}|this way now|<tada>",
}

# When something goes wrong.
FAILED = (
    "<oops> [i can't reach it|i can't get there|that doesn't work|this isn't working|never mind]|"
    "forget it|okay [forget it|something else|leave it]|well that didn't work|i give up [on that one|"
    "]|<oops> [something else then|next one]"
)
OVERSHOT = (
    "<oops> [too far|i went too far|walked past it|past it|back a bit|a step back]|"
    "<oops> back [up|up a bit]"
)
WRONG = "<oops> [wrong one|wrong block|not that one|that was the wrong block|missed it|not this one]"
STUCK = (
    "<oops> [i'm stuck|stuck again|something is in the way|there's something in the way|"
    "let me get around this]|what is [this|in my way]|[around it|around this|excuse me]"
)
WRONG_TOOL = "<oops> [wrong tool|wrong one|that's not the tool|not this|other hand]"
MISPLACED = "<oops> [it didn't place|no room there|that didn't go down|try again]"

# Before a slot 0..3 is taken in hand.
TOOL = {
    0: "axe|where's my axe|the axe|got my axe|axe out",
    1: "pickaxe|where's my pickaxe|the pickaxe|pickaxe out|got my pickaxe",
    2: "shovel|where's my shovel|the shovel|shovel out|got my shovel",
    3: "blocks|where are my blocks|some blocks|got the blocks|cobble",
}

# -- what is in view -------------------------------------------------------------------------------------------------
# {where} is a side, {flower} a kind or a colour of flower, {n} two or more.

SIGHT = {
    "tree": (
        "a [|nice|big|tall|fine|green] tree {where?}|<see> a [|nice|big|tall|fine] tree {where?}|"
        "{where} [a|there's a|i see a] tree|the tree {where} is [tall|<very> nice|full of leaves]|"
        "[look|hey] a tree {where?}|[|there are|i see] {n} trees {where?}|"
        "[that's a [nice|big|tall|fine] tree|so many leaves|i like that tree]|[green leaves|leaves] {where}"
    ),
    "flower": (
        "a {flower} {where?}|<see> a {flower} {where?}|{where} [a|there's a|i see a] {flower}|"
        "the {flower} {where} is <very> pretty|[look|oh] a {flower} {where?}|"
        "[|there are|i see] {n} flowers {where?}|"
        "[that {flower} is <very> pretty|flowers everywhere|such pretty flowers]"
    ),
    "pillar": (
        "a {colour?} pillar {where?}|<see> [a|the] {colour?} pillar {where?}|{where} [a|there's the|i see the] "
        "{colour?} pillar|the {colour?} pillar is {where}|that's the {colour} pillar|the {colour} one is {where}|"
        "{colour} {where}|something {colour} {where?}|the {colour} one is over there|[|there are|i see] {n} pillars "
        "{where?}"
    ),
    "sand": (
        "<see> [|some|yellow] sand {where?}|[yellow|] sand {where}|a [pile|heap] of sand {where?}|"
        "{where} [|there's|i see] sand|the sand is {where}|sand over there|a little beach {where?}|"
        "[|there are|i see] {n} piles of sand {where?}"
    ),
    "dirt": (
        "<see> [|some|brown] dirt {where?}|[brown|] dirt {where}|a [pile|heap] of dirt {where?}|"
        "{where} [|there's|i see] dirt|the dirt is {where}|dirt over there|"
        "[|there are|i see] {n} piles of dirt {where?}"
    ),
    "stone": (
        "<see> [|some|grey] stone {where?}|[grey|] stone {where}|a [pile|heap] of stone {where?}|"
        "{where} [|there's|i see] stone|the stone is {where}|[lots of stone|rocks] over there|lots of stone {where?}|"
        "[|there are|i see] {n} piles of stone {where?}"
    ),
    "water": (
        "[look|oh] water {where?}|a little lake {where?}|<see> [water|a lake|a pond] {where?}|[blue|] water {where}|"
        "{where} [|there's|i see] water|the water is {where}|is that water {where?}|"
        "[i could go fishing|don't fall into the water]"
    ),
    "steps": (
        "[there are|i see] [the|some] steps {where?}|steps {where}|{where} [the|some|i see the] steps|"
        "the steps are {where}|[those steps again|stairs to nowhere]|stairs {where}"
    ),
    "sky": (
        "what a blue sky|not a cloud in the sky|such a clear sky|the sky is <very> [blue|clear]|only [blue|] sky|"
        "[so much|i see the|just the] sky"
    ),
    "ground": (
        "the grass is <very> green|just grass down here|[only|green|so much] grass|green grass everywhere|"
        "i see [only|just|the] grass"
    ),
}

# How many of a thing are in view: exactly one of {none}, {one} and {n}, in words, is filled.
COUNTING = (
    "{none} THINGS {where?}|i see {none} THINGS {where?}|there are {none} THINGS [{where}|here]|"
    "{one} THING {where?}|[only|just] {one} THING [{where}|here]|i see [only|just|] {one} THING {where?}|"
    "there's [only|] {one} THING {where?}|{where} {one} THING|"
    "{n} THINGS {where?}|i see {n} THINGS {where?}|there are {n} THINGS [{where}|here]|"
    "{where} [|there are|i see] {n} THINGS|i count {n} THINGS {where?}|look {n} THINGS {where?}"
)
COUNTED = {
    thing: COUNTING.replace("THINGS", several).replace("THING", one)
    for thing, one, several in (
        ("tree", "tree", "trees"), ("flower", "flower", "flowers"), ("pillar", "pillar", "pillars"),
        ("sand", "pile of sand", "piles of sand"), ("dirt", "pile of dirt", "piles of dirt"),
        ("stone", "pile of stone", "piles of stone"), ("water", "lake", "lakes"),
    )
}  # fmt: skip

# About nothing in the game.
DIGRESS = (
    "<when> my <pet> [ate my <food>|slept on my keyboard|knocked over my <drink>|"
    "ran out of the house|chased a <pet>|jumped on the table]|i had <food> for [dinner|lunch|"
    "breakfast] <when> and it was <very> [good|bad|spicy|tasty|salty|sweet]|"
    "<think> i should [drink more <drink>|sleep more|clean my room|call my <family>|"
    "buy a new [chair|mouse|keyboard|screen]|learn the guitar|go outside more]|"
    "my <family> [plays this too|says hello|thinks i play too much|taught me this game|"
    "is watching now|never believes me]|it was <very> <hotness> <when> [so i stayed inside|"
    "so we went swimming|and i forgot my jacket|and the bus was late|]|thanks for watching <folks>|"
    "hello <folks> [welcome back|how are you|good to see you|where are you from]|"
    "if you are new here [welcome|say hello|stay a while]|don't forget to [drink some <drink>|"
    "like and subscribe|say hi in the chat|stretch]|someone in chat asked about [my <pet>|the <job>|"
    "music|school|my <drink>]|<soon> i want to build a [big|huge|tiny|wooden|stone|secret] <job>|"
    "i dreamed about [a <job>|flying|my <pet>|dragons|the ocean|school] <when>|"
    "did you know that [trees can talk|a <pet> can count|bees can dance|honey never gets old|"
    "octopuses have three hearts|the moon moves away|bananas are berries]|<think> [the music|"
    "this song|this place|the light|the colour of the sky|this game] is <very> [relaxing|calm|"
    "pretty|strange|good]|<when> i watched a movie about [robots|pirates|space|ghosts|dinosaurs|"
    "a detective] it was <very> [long|boring|scary|funny|sad]|my favourite [food is <food>|"
    "animal is a <pet>|season is [summer|winter|autumn|spring]|day is friday|colour is [purple|"
    "orange|green|blue]]|i used to [live near a lake|play the piano|be afraid of the dark|"
    "have a <pet>|work in a bakery|collect stamps]|one sip of <drink> [first|real quick|mm]|"
    "sorry my <pet> is [making noise|at the door|on my lap|hungry]|[what should we build|"
    "what should i eat|should i get a <pet>|any plans for the weekend] <folks>|"
    "i have to [go shopping|do homework|wash the dishes|feed the <pet>] <soon>"
)

GREETING = (
    "hello <folks> [and welcome back|welcome|good morning|good evening] [to the channel|"
    "to the stream|]|hey <folks> [let's get started|let's play|here we are again]|"
    "okay [we are live|let's begin|here we go]|hi <folks> [today we|let's] just [play|play around|"
    "mess around] a bit"
)

# Kinds of flowers that grow here, and the colour where one says "a red flower" too.
FLOWERS = {
    "rose": "red", "tulip": "", "yellow dandelion": "yellow", "geranium": "blue", "viola": "purple",
    "white dandelion": "white",
}  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
