/* The grammar.  Every action is one call of a constructor in compiler/ast/build.h.
 *
 * In:  the tokens of lexer.re, where each statement and declaration ends with NL, and braces and brackets match.
 * Out: declarations, added to the tree one by one, so that what was read before a fatal error is kept.
 *
 * Recovery.  `error` stands in three kinds of place: for a value (poisoned, EX_BAD, so that the name defined is known),
 * for a statement or line of a block, and for a header before its block, whose body is read as if the header were
 * right.  None stands inside round brackets: NL never comes there, so skipping to NL always leaves them whole.  For
 * braces see note [dropped braces] in lexer.re.
 *
 * The second half, after the rules, says what was unexpected and what could have stood there. */
%require "3.8"
%define api.pure full
%define api.prefix {svm_}
%define api.token.prefix {TOK_}
%define api.value.type union
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%param {Lexer *l}
%parse-param {Build *b}
%expect 0

%code requires {
#include "lexer.h"
}
%code {
#define YYMAXDEPTH 6000
#define YYLLOC_DEFAULT(now, rhs, n) \
  ((now) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : (Span){YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end})
#define svm_lex lexer_next
static void svm_error(Span *at, Lexer *l, Build *b, const char *what);
#define W(name, at) ((Word){name, at})
}
%initial-action { @$ = l->last.span; (void)yynerrs; }

/* Texts of tokens as messages show them; what starts with "a " or "the " is not quoted. */
%token END 0 "the end of the file" NL "the end of the line"
%token <Name> NAME "a name" WORD "a word" RWORD "a reducer's name" REDUCE "a reducer" STRING "a text in quotes"
%token <Number> NUMBER "a number"
%token <Name> UNIT "a unit"
%token <Name> IMPORT "import" AS "as" CONST "const" OPTION "option" PLATE "plate" DATA "data" PARAM "param" STATE "state"
  UPDATE "update" NET "net" FUN "fun" DIST "dist" ON "on" ALSO "also" CHECK "check" MODEL "model" GUIDE "guide"
  OBJECTIVE "objective" MAXIMIZE "maximize" MINIMIZE "minimize" TRAIN "train" STEP "step" OVER "over" REPORT "report"
  FOR "for" EACH "each" IN "in" BY "by" IF "if" THEN "then" ELSE "else" RETURN "return" DRAW "draw" ONCE "once" VIA "via"
  AUTOREGRESSIVE "autoregressive" LOG "log" OF "of" ORDERED "ordered" AND "and" OR "or" NOT "not"
  TRUE "true" FALSE "false"
%token LPAREN "(" RPAREN ")" LSQUARE "[" RSQUARE "]" LBRACE "{" RBRACE "}" COMMA "," SEMICOLON ";" COLON ":" IS "="
  TILDE "~" DOT "." DOTS ".." ARROW "->" PIPE "|>" BARS "||" PLUS "+" MINUS "-" TIMES "*" SLASH "/" AT "@" HAT "^"
  LT "<" LE "<=" GT ">" GE ">=" EQ "==" NE "!="

/* From loosest to tightest.  GREEDY: how far a comprehension and an `else` reach; BODY: how far sum(i in M) reaches. */
%left "|>"
%precedence GREEDY
%left "or"
%left "and"
%precedence "not"
%nonassoc "<" "<=" ">" ">=" "==" "!="
%nonassoc ".."
%precedence "by"
%precedence UNIT
%left "+" "-"
%precedence BODY
%left "*" "/" "@"
%precedence NEGATION
%right "^"

%type <Expr *>     expr primary postfix target_of_log qualified value via init
%type <Exprs>      exprs over params_of_member
%type <Arg>        arg setting
%type <Args>       args args_or_none
%type <Name>       word any_word member_name
%type <Binder>     binder
%type <Binders>    binders
%type <Type *>     type type_element type_or_none
%type <Param>      param
%type <Params>     params params_or_none
%type <Target>     target
%type <Stmt *>     stmt branch
%type <Stmts>      stmts block else
%type <EachOf>     each_of
%type <Words>      names
%type <PlateOf>    plate_of
%type <bool>       ordered
%type <Goal>       goal
%type <TrainItems> train_items train_block
%type <Member>     member
%type <Members>    members members_block
%type <DistItems>  dist_items dist_block
%type <Decl *>     decl
%%
file: decls ;
decls: %empty | decls decl NL { decls_add(b, $2); } | decls decl_bad ;

/* ---- declarations */

decl:
    "import" NAME                                         { $$ = build_import(b, $2, @2, false, W(NULL, NO_SPAN), @$); }
  | "import" NAME "as" NAME                               { $$ = build_import(b, $2, @2, false, W($4, @4), @$); }
  | "import" STRING                                       { $$ = build_import(b, $2, @2, true, W(NULL, NO_SPAN), @$); }
  | "import" STRING "as" NAME                             { $$ = build_import(b, $2, @2, true, W($4, @4), @$); }
  | "const" NAME "=" value                                { $$ = build_value(b, DE_CONST, W($2, @2), $4, @$); }
  | "option" NAME "=" value                               { $$ = build_value(b, DE_OPTION, W($2, @2), $4, @$); }
  | "report" word "=" value                               { $$ = build_value(b, DE_REPORT, W($2, @2), $4, @$); }
  | "plate" NAME plate_of                                 { $$ = build_plate(b, W($2, @2), $3, @$); }
  | "data" NAME ":" type each_of init                     { $$ = build_data(b, W($2, @2), $4, $5, $6, @$); }
  | "net" NAME "(" params_or_none ")" type_or_none block  { $$ = build_net(b, W($2, @2), $4, $6, $7, @$); }
  | "net" NAME "=" value                                  { $$ = build_value(b, DE_INSTANCE, W($2, @2), $4, @$); }
  | "fun" NAME "(" params_or_none ")" "=" value           { $$ = build_fun(b, DE_FUN, W($2, @2), $4, $7, @$); }
  | "objective" NAME "(" params_or_none ")" "=" value     { $$ = build_fun(b, DE_OBJECTIVE, W($2, @2), $4, $7, @$); }
  | "dist" NAME "(" params_or_none ")" "on" type dist_block { $$ = build_dist(b, W($2, @2), $4, $7, $8, @$); }
  | "model" NAME each_of block                            { $$ = build_program(b, false, W($2, @2), $3, $4, @$); }
  | "guide" NAME each_of block                            { $$ = build_program(b, true, W($2, @2), $3, $4, @$); }
  | "guide" NAME "=" value                                { $$ = build_value(b, DE_AUTOGUIDE, W($2, @2), $4, @$); }
  | goal                                                  { $$ = build_goal(b, $1, @$); }
  | "train" train_block                                   { $$ = build_train(b, $2, @$); }
  | "net" error block                                     { $$ = NULL; }
  | "dist" error dist_block                               { $$ = NULL; }
  | "model" error block                                   { $$ = NULL; }
  | "guide" error block                                   { $$ = NULL; }
  | "train" error train_block                             { $$ = NULL; }
  ;
decl_bad:
    error NL                                              { yyerrok; }
  | "net" error NL                                        { yyerrok; }
  | "dist" error NL                                       { yyerrok; }
  | "model" error NL                                      { yyerrok; }
  | "guide" error NL                                      { yyerrok; }
  | "train" error NL                                      { yyerrok; }
  ;

plate_of:
    %empty                                                { $$ = (PlateOf){0}; }
  | "," "ordered"                                         { $$ = (PlateOf){.ordered = true}; }
  | "of" NAME ordered                                     { $$ = (PlateOf){words_add(b, (Words){0}, $2, @2), $3}; }
  | "of" "(" names ")" ordered                            { $$ = (PlateOf){$3, $5}; }
  ;
ordered: %empty { $$ = false; } | "," "ordered" { $$ = true; } ;
names: NAME { $$ = words_add(b, (Words){0}, $1, @1); } | names "," NAME { $$ = words_add(b, $1, $3, @3); } ;

each_of:
    %empty                                                { $$ = (EachOf){0}; }
  | "for" "each" NAME                                     { $$ = build_each_of($3, @3); }
  | "for" NAME                                            { $$ = build_each_of_slip(b, W($2, @2), @$); }
  | "for" NAME "in" NAME                                  { $$ = build_each_of_slip(b, W($4, @4), @$); }
  ;
init:  %empty { $$ = NULL; } | "=" value { $$ = $2; } ;
value: expr | error { $$ = build_bad(b, @1); } ;

params_or_none: %empty { $$ = (Params){0}; } | params ;
params: param { $$ = params_add(b, (Params){0}, $1); } | params "," param { $$ = params_add(b, $1, $3); } ;
param:
    word                                                  { $$ = build_param($1, NULL, NULL, @$); }
  | word ":" type                                         { $$ = build_param($1, $3, NULL, @$); }
  | word "=" expr                                         { $$ = build_param($1, NULL, $3, @$); }
  | word ":" type "=" expr                                { $$ = build_param($1, $3, $5, @$); }
  ;
word: NAME | RWORD ;

type_or_none: %empty { $$ = NULL; } | "->" type { $$ = $2; } ;
type: type_element | type "[" exprs "]"                   { $$ = build_type_sized(b, $1, $3, @$); } ;
type_element:
    NAME                                                  { $$ = build_type(b, $1, @1, (Exprs){0}, @$); }
  | NAME "(" exprs ")"                                    { $$ = build_type(b, $1, @1, $3, @$); }
  | "ordered"                                             { $$ = build_type(b, $1, @1, (Exprs){0}, @$); }
  ;

/* ---- objectives and training */

goal:
    "maximize" expr over                                  { $$ = build_goal_of(true, $2, $3); }
  | "minimize" expr over                                  { $$ = build_goal_of(false, $2, $3); }
  ;
over: %empty { $$ = (Exprs){0}; } | "over" exprs          { $$ = $2; } ;

train_block: open train_items "}"                          { $$ = $2; yyerrok; } ;
train_items:
    %empty                                                { $$ = (TrainItems){0}; }
  | train_items setting separator                         { $$ = train_add(b, $1, $2); }
  | train_items "step" any_word ":" goal NL               { $$ = train_add_step(b, $1, build_step(W($3, @3), $5, span_join(@2, @5))); }
  | train_items error NL                                  { $$ = $1; yyerrok; }
  ;
separator: NL | "," | "," NL ;
setting:
    any_word ":" expr                                     { $$ = build_arg($1, $3, @$); }
  | any_word "=" expr                                     { $$ = build_arg_slip(b, $1, $3, @$, @2); }
  ;
any_word: NAME | WORD | RWORD ;

/* ---- distributions */

dist_block: open dist_items "}"                            { $$ = $2; yyerrok; } ;
dist_items:
    %empty                                                { $$ = (DistItems){0}; }
  | dist_items member NL                                  { $$ = dist_add(b, $1, $2); }
  | dist_items "also" NAME "(" params_or_none ")" "=" expr members_block NL
      { $$ = dist_add_form(b, $1, build_form(W($3, @3), $5, $8, $9, span_join(@2, $9.n ? @9 : @8))); }
  | dist_items "check" member_name "(" args_or_none ")" "=" expr NL
      { $$ = dist_add_check(b, $1, build_check($3, (Args){0}, $5, $8, span_join(@2, @8))); }
  | dist_items "check" member_name "(" args_or_none ";" args_or_none ")" "=" expr NL
      { $$ = dist_add_check(b, $1, build_check($3, $5, $7, $10, span_join(@2, @10))); }
  | dist_items error NL                                   { $$ = $1; yyerrok; }
  ;
members_block: %empty { $$ = (Members){0}; } | open members "}" { $$ = $2; yyerrok; } ;
members:
    %empty                                                { $$ = (Members){0}; }
  | members member NL                                     { $$ = members_add(b, $1, $2); }
  | members error NL                                      { $$ = $1; yyerrok; }
  ;
member:
    member_name "=" value                                 { $$ = build_member(W($1, @1), (Exprs){0}, $3, @$); }
  | member_name "(" params_of_member ")" "=" value        { $$ = build_member(W($1, @1), $3, $6, @$); }
  ;
member_name: NAME | RWORD | REDUCE ;
params_of_member: exprs ;

/* ---- statements */

open: "{"                                                 { lexer_take_brace(l); } ;
block: open stmts "}"                                      { $$ = $2; yyerrok; } ;
stmts: %empty { $$ = (Stmts){0}; } | stmts stmt NL        { $$ = stmts_add(b, $1, $2); } | stmts stmt_bad { $$ = $1; } ;
stmt:
    target "=" value                                      { $$ = build_let(b, $1, $3, @$); }
  | target "~" value via                                  { $$ = build_site(b, $1, false, $3, $4, @2, @$); }
  | target "~" "autoregressive" expr via                  { $$ = build_site(b, $1, true, $4, $5, @2, @$); }
  | "param" NAME ":" type each_of init                    { $$ = build_param_stmt(b, false, W($2, @2), $4, $5, $6, NULL, @$); }
  | "param" NAME ":" type each_of "~" value               { $$ = build_param_stmt(b, false, W($2, @2), $4, $5, NULL, $7, @$); }
  | "param" "~" value                                     { $$ = build_prior(b, $3, @$); }
  | "state" NAME ":" type each_of init                    { $$ = build_param_stmt(b, true, W($2, @2), $4, $5, $6, NULL, @$); }
  | "update" NAME "=" value                               { $$ = build_update(b, W($2, @2), $4, @$); }
  | "for" NAME "in" expr block                            { $$ = build_loop(b, W($2, @2), $4, $5, @$); }
  | "for" "each" NAME block                               { $$ = build_each(b, W($3, @3), $4, @$); }
  | "for" NAME block                                      { $$ = build_each_slip(b, W($2, @2), $3, @$); }
  | "for" "each" NAME "in" expr block                     { $$ = build_each_in_slip(b, W($3, @3), $5, $6, @$, span_join(@2, @5)); }
  | branch
  | "return" value                                        { $$ = build_return(b, $2, @$); }
  | "for" error block                                     { $$ = NULL; }
  | "if" error block else                                 { $$ = NULL; }
  ;
stmt_bad:
    error NL                                              { yyerrok; }
  | "for" error NL                                        { yyerrok; }
  | "if" error NL                                         { yyerrok; }
  | error block NL                                        { yyerrok; }
  ;
branch: "if" expr block else                              { $$ = build_branch(b, $2, $3, $4, @$); } ;
else:
    %empty                                                { $$ = (Stmts){0}; }
  | "else" block                                          { $$ = $2; }
  | "else" branch                                         { $$ = stmts_add(b, (Stmts){0}, $2); }
  ;
target: NAME { $$ = build_target($1, (Exprs){0}, @$); } | NAME "[" exprs "]" { $$ = build_target($1, $3, @$); } ;
via: %empty { $$ = NULL; } | "via" expr                   { $$ = $2; } ;

/* ---- expressions */

expr:
    postfix
  | expr "|>" expr                                        { $$ = build_op(b, OP_PIPE, $1, $3, @$, @2); }
  | expr "or" expr                                        { $$ = build_op(b, OP_OR, $1, $3, @$, @2); }
  | expr "and" expr                                       { $$ = build_op(b, OP_AND, $1, $3, @$, @2); }
  | "not" expr                                            { $$ = build_unary(b, OP_NOT, $2, @$, @1); }
  | expr "<" expr                                         { $$ = build_op(b, OP_LT, $1, $3, @$, @2); }
  | expr "<=" expr                                        { $$ = build_op(b, OP_LE, $1, $3, @$, @2); }
  | expr ">" expr                                         { $$ = build_op(b, OP_GT, $1, $3, @$, @2); }
  | expr ">=" expr                                        { $$ = build_op(b, OP_GE, $1, $3, @$, @2); }
  | expr "==" expr                                        { $$ = build_op(b, OP_EQ, $1, $3, @$, @2); }
  | expr "!=" expr                                        { $$ = build_op(b, OP_NE, $1, $3, @$, @2); }
  | expr ".." expr                                        { $$ = build_range(b, $1, $3, NULL, @$); }
  | expr ".." expr "by" expr                 %prec ".."   { $$ = build_range(b, $1, $3, $5, @$); }
  | expr "+" expr                                         { $$ = build_op(b, OP_ADD, $1, $3, @$, @2); }
  | expr "-" expr                                         { $$ = build_op(b, OP_SUB, $1, $3, @$, @2); }
  | expr "*" expr                                         { $$ = build_op(b, OP_MUL, $1, $3, @$, @2); }
  | expr "/" expr                                         { $$ = build_op(b, OP_DIV, $1, $3, @$, @2); }
  | expr "@" expr                                         { $$ = build_op(b, OP_MATMUL, $1, $3, @$, @2); }
  | expr UNIT                                             { $$ = build_duration(b, $1, $2, @$); }
  | "-" expr                                 %prec NEGATION { $$ = build_unary(b, OP_NEG, $2, @$, @1); }
  | expr "^" expr                                         { $$ = build_op(b, OP_POW, $1, $3, @$, @2); }
  | REDUCE "(" binders ")" expr              %prec BODY   { $$ = build_reduce(b, $1, $3, $5, @$); }
  | "[" binders "]" expr                     %prec GREEDY { $$ = build_comprehension(b, $2, $4, @$); }
  | "if" expr "then" expr "else" expr        %prec GREEDY { $$ = build_choice(b, $2, $4, $6, @$); }
  | "draw" postfix                                        { $$ = build_draw(b, false, $2, @$); }
  | "draw" "once" postfix                                 { $$ = build_draw(b, true, $3, @$); }
  | "log" target_of_log                                   { $$ = build_log_density(b, $2, @$); }
  ;
postfix:
    primary
  | postfix "(" args_or_none ")"                          { $$ = build_call(b, $1, $3, @$); }
  | postfix "[" args "]"                                  { $$ = build_index(b, $1, $3, @$); }
  | postfix "." NAME                                      { $$ = build_field(b, $1, $3, @3, @$); }
  ;
primary:
    NUMBER                                                { $$ = build_number(b, $1, @$); }
  | STRING                                                { $$ = build_string(b, $1, @$); }
  | NAME                                                  { $$ = build_name(b, $1, @$); }
  | RWORD                                                 { $$ = build_name(b, $1, @$); }
  | "log"                                                 { $$ = build_name(b, $1, @$); }
  | "true"                                                { $$ = build_name(b, $1, @$); }
  | "false"                                               { $$ = build_name(b, $1, @$); }
  | REDUCE "(" args_or_none ")"                           { $$ = build_call_named(b, $1, @1, $3, @$); }
  | "net" qualified "(" args_or_none ")"                  { $$ = build_instance(b, $2, $4, @$); }
  | "(" expr ")"                                          { $$ = build_group($2, @$); }
  | "[" "]"                                               { $$ = build_list(b, (Exprs){0}, @$); }
  | "[" exprs "]"                                         { $$ = build_list(b, $2, @$); }
  ;
target_of_log:
    NAME                                                  { $$ = build_name(b, $1, @$); }
  | target_of_log "." NAME                                { $$ = build_field(b, $1, $3, @3, @$); }
  | target_of_log "[" args "]"                            { $$ = build_index(b, $1, $3, @$); }
  ;
qualified: NAME { $$ = build_name(b, $1, @$); } | qualified "." NAME { $$ = build_field(b, $1, $3, @3, @$); } ;

exprs: expr { $$ = exprs_add(b, (Exprs){0}, $1); } | exprs "," expr { $$ = exprs_add(b, $1, $3); } ;
args_or_none: %empty { $$ = (Args){0}; } | args ;
args: arg { $$ = args_add(b, (Args){0}, $1); } | args "," arg { $$ = args_add(b, $1, $3); } ;
arg:
    expr                                                  { $$ = build_arg(NULL, $1, @$); }
  | any_word ":" expr                                     { $$ = build_arg($1, $3, @$); }
  | any_word "=" expr                                     { $$ = build_arg_slip(b, $1, $3, @$, @2); }
  | expr "||" expr                                        { $$ = build_arg_bars(b, $1, $3, @$, @2); }
  ;
binders: binder { $$ = binders_add(b, (Binders){0}, $1); } | binders "," binder { $$ = binders_add(b, $1, $3); } ;
binder:
    NAME "in" expr                                        { $$ = build_binder($1, @1, $3, @$); }
  | "each" NAME                                           { $$ = build_binder_each($2, @2, @$); }
  | "each" "plate"                                        { $$ = build_binder_each($2, @2, @$); }
  ;
%%

/* ---- messages
 *
 * The parser knows exactly which tokens could stand here (LAC).  People want fewer: all that start an expression are
 * "an expression", all that go on after one are "an operator", and so on. */

typedef struct { bool has[YYNTOKENS]; } Expected;

static const yysymbol_kind_t expr_starts[] = {
  YYSYMBOL_NUMBER, YYSYMBOL_STRING, YYSYMBOL_NAME, YYSYMBOL_RWORD, YYSYMBOL_REDUCE, YYSYMBOL_LOG, YYSYMBOL_TRUE,
  YYSYMBOL_FALSE, YYSYMBOL_LPAREN, YYSYMBOL_LSQUARE, YYSYMBOL_NOT, YYSYMBOL_IF, YYSYMBOL_DRAW, YYSYMBOL_NET, YYSYMBOL_MINUS,
};
static const yysymbol_kind_t expr_goes_on[] = {
  YYSYMBOL_PIPE, YYSYMBOL_OR, YYSYMBOL_AND, YYSYMBOL_LT, YYSYMBOL_LE, YYSYMBOL_GT, YYSYMBOL_GE, YYSYMBOL_EQ, YYSYMBOL_NE,
  YYSYMBOL_DOTS, YYSYMBOL_BY, YYSYMBOL_PLUS, YYSYMBOL_MINUS, YYSYMBOL_TIMES, YYSYMBOL_SLASH, YYSYMBOL_AT, YYSYMBOL_HAT,
  YYSYMBOL_BARS, YYSYMBOL_LPAREN, YYSYMBOL_LSQUARE, YYSYMBOL_DOT, YYSYMBOL_UNIT,
};
static const yysymbol_kind_t decl_starts[] = {
  YYSYMBOL_IMPORT, YYSYMBOL_CONST, YYSYMBOL_OPTION, YYSYMBOL_PLATE, YYSYMBOL_DATA, YYSYMBOL_NET, YYSYMBOL_FUN, YYSYMBOL_DIST,
  YYSYMBOL_MODEL, YYSYMBOL_GUIDE, YYSYMBOL_OBJECTIVE, YYSYMBOL_MAXIMIZE, YYSYMBOL_MINIMIZE, YYSYMBOL_TRAIN, YYSYMBOL_REPORT,
};
static const yysymbol_kind_t stmt_starts[] = {
  YYSYMBOL_NAME, YYSYMBOL_PARAM, YYSYMBOL_STATE, YYSYMBOL_UPDATE, YYSYMBOL_FOR, YYSYMBOL_IF, YYSYMBOL_RETURN,
};

static void forget(Expected *e, const yysymbol_kind_t *kinds, size_t n) {
  for (size_t i = 0; i < n; i++) e->has[kinds[i]] = false;
}

/* How a message names a token that could stand here. */
static const char *shown(Build *b, yysymbol_kind_t kind) {
  const char *name = yysymbol_name(kind);
  bool class = strncmp(name, "a ", 2) == 0 || strncmp(name, "the ", 4) == 0;
  return class ? name : arena_printf(b->arena, "`%s`", name);
}

/* The list "A, B or C", or NULL when it would be too long to help. */
static const char *expected_text(Build *b, Expected e) {
  const char *item[YYNTOKENS + 4];
  size_t n = 0;
  bool operator = e.has[YYSYMBOL_TIMES];
  if (e.has[YYSYMBOL_CONST]) {
    item[n++] = "a declaration";
    forget(&e, decl_starts, LEN(decl_starts));
    e.has[YYSYMBOL_YYEOF] = false;
  }
  if (e.has[YYSYMBOL_UPDATE]) {
    item[n++] = "a statement";
    forget(&e, stmt_starts, LEN(stmt_starts));
  }
  if (e.has[YYSYMBOL_NUMBER]) {
    item[n++] = "an expression";
    forget(&e, expr_starts, LEN(expr_starts));
  }
  if (operator) {
    forget(&e, expr_goes_on, LEN(expr_goes_on));
    if (e.has[YYSYMBOL_COLON]) e.has[YYSYMBOL_IS] = false;           /* read as a slip only */
  }
  if (e.has[YYSYMBOL_NAME] || n > 0) e.has[YYSYMBOL_WORD] = e.has[YYSYMBOL_RWORD] = e.has[YYSYMBOL_REDUCE] = false;
  for (int k = 0; k < YYNTOKENS; k++)
    if (e.has[k]) item[n++] = shown(b, (yysymbol_kind_t)k);
  if (operator) item[n++] = "an operator";
  if (n == 0 || n > 5) return NULL;
  const char *text = item[0];
  for (size_t i = 1; i < n; i++) text = arena_printf(b->arena, "%s%s%s", text, i + 1 == n ? " or " : ", ", item[i]);
  return text;
}

static const char *token_text(const Lexer *l, const Build *b, const Token *t) {
  const Source *s = b->source;
  if (t->kind == TOK_END) return "end of the file";
  if (t->kind == TOK_NL) {
    /* the statement's end may stand for a `}` or the end of the file */
    if (lexer_sees(l, "}")) return "`}`";
    return strspn(s->text + (t->span.at - s->base), " \t\r\n") + (t->span.at - s->base) == s->size ? "end of the file" : "end of the line";
  }
  uint32_t n = t->span.end - t->span.at;
  if (n <= 40) return arena_printf(b->arena, "`%.*s`", (int)n, s->text + (t->span.at - s->base));
  return t->kind == TOK_STRING ? "a text" : t->kind == TOK_NUMBER ? "a number" : "a name";
}

static bool is_reserved(yysymbol_kind_t kind) {
  return kind == YYSYMBOL_RWORD || kind == YYSYMBOL_REDUCE || kind == YYSYMBOL_WORD || (kind >= YYSYMBOL_IMPORT && kind <= YYSYMBOL_FALSE);
}

static bool is_comparison(yysymbol_kind_t kind) { return kind >= YYSYMBOL_LT && kind <= YYSYMBOL_NE; }

/* A misspelt word that starts a declaration or a statement. */
static bool suggest(DiagItem *item, const Token *wrong, const yysymbol_kind_t *kinds, size_t n) {
  Name words[LEN(decl_starts)];
  for (size_t i = 0; i < n; i++) words[i] = name_of(yysymbol_name(kinds[i]));
  Name near = wrong->name ? name_nearest(wrong->name, words, n) : NULL;
  if (near) diag_fix(item, wrong->span, near, "did you mean `%s`?", near);
  return near != NULL;
}

static int yyreport_syntax_error(const yypcontext_t *context, Lexer *l, Build *b) {
  const Token *t = &l->last;
  yysymbol_kind_t kind = yypcontext_token(context), list[YYNTOKENS];
  if (l->stopped || t->excused) return 0;                            /* the lexer said why */
  int n = yypcontext_expected_tokens(context, list, YYNTOKENS);
  Expected e = {0};
  for (int i = 0; i < n; i++) e.has[list[i]] = true;
  bool after_value = e.has[YYSYMBOL_TIMES], wants_value = e.has[YYSYMBOL_NUMBER], new_line = l->before.kind == TOK_NL;
  bool wants_name = e.has[YYSYMBOL_NAME] && !wants_value && (!e.has[YYSYMBOL_PARAM] || lexer_sees(l, "=") || lexer_sees(l, "~"));

  if (is_reserved(kind) && wants_name && (!e.has[YYSYMBOL_ALSO] || lexer_sees(l, "="))) {
    DiagItem *i = diag_at(b->diag, E0106, t->span, "`%s` is a reserved word and cannot name anything", t->name);
    const char *what = expected_text(b, e);
    if (what) diag_mark(i, "expected %s", what);
    return 0;
  }
  const char *what = expected_text(b, e), *text = token_text(l, b, t);
  DiagItem *i = diag_at(b->diag, E0101, t->span, what ? "unexpected %s; expected %s" : "unexpected %s", text, what);
  if (kind == YYSYMBOL_BARS) diag_help(i, "`||` stands between the arguments of KL; a disjunction is written `or`");
  else if (is_comparison(kind) && after_value) diag_help(i, "comparisons do not chain: write `a < b and b < c`");
  else if (kind == YYSYMBOL_IS && after_value) diag_help(i, "`=` defines; to compare, write `==`");
  else if (new_line && (kind == YYSYMBOL_HAT || (kind >= YYSYMBOL_DOTS && kind <= YYSYMBOL_NE && kind != YYSYMBOL_ARROW)))
    diag_help(i, "a statement ends with its line; to go on, leave the operator at the end of the line before");
  else if (e.has[YYSYMBOL_TILDE] && e.has[YYSYMBOL_IS] && l->before.kind == TOK_NAME) {
    if (!suggest(i, &l->before, stmt_starts + 1, LEN(stmt_starts) - 1) && kind == YYSYMBOL_NAME) diag_help(i, "`%s ~ D` draws from a distribution, `%s = e` defines a value", l->before.name, l->before.name);
  } else if (e.has[YYSYMBOL_CONST] && kind == YYSYMBOL_NAME) suggest(i, t, decl_starts, LEN(decl_starts));
  else if (e.has[YYSYMBOL_EACH] && e.has[YYSYMBOL_IN]) suggest(i, t, (yysymbol_kind_t[]){YYSYMBOL_EACH, YYSYMBOL_IN}, 2);
  else if (e.has[YYSYMBOL_IN] && l->before.kind == TOK_NAME) suggest(i, &l->before, (yysymbol_kind_t[]){YYSYMBOL_EACH}, 1);
  else if ((kind == YYSYMBOL_MAXIMIZE || kind == YYSYMBOL_MINIMIZE) && wants_value)
    diag_help(i, "a step has a name: `step model: %s ...`", t->name);
  else if (e.has[YYSYMBOL_DOTS] && kind == YYSYMBOL_DOT) diag_help(i, "a range is written `1..n`");
  return 0;
}

/* Called for an exhausted stack only: syntax errors have their own reporter. */
static void svm_error(Span *at, Lexer *l, Build *b, const char *what) {
  (void)what;
  if (l->stopped) return;
  DiagItem *i = diag_at(b->diag, E0105, *at, "nested too deeply to be read");
  diag_help(i, "name an inner part and use the name");
  l->stopped = true;
}

Ast *ast_parse(Arena *arena, const Source *source, Diag *diag) {
  Ast *ast = NEW(arena, Ast);
  ast->source = source;
  Build b = {arena, source, diag, ast};
  Lexer *l = NEW(arena, Lexer);
  lexer_start(l, &b);
  svm_parse(l, &b);
  return ast;
}
